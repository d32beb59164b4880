-- SPDX-License-Identifier: Apache-2.0
-- A session of Ardour for tests/system/program_trial.py: 132 bpm, from bar 9 on 100 bpm; one track that records MIDI.
-- Then each line that it reads is a command in Lua.
local UI = ARDOUR.TransportRequestSource.TRS_UI
AudioEngine:set_backend("JACK", "", "")
local session = create_session(os.getenv("TRIAL_SESSION"), "trial", 48000)
assert(session, "no session")
ARDOUR.config():set_send_midi_clock(true)

local map = Temporal.TempoMap.fetch_writable()
map:set_tempo(Temporal.Tempo(132, 132, 4), Temporal.timepos_t(0))
map:set_tempo(Temporal.Tempo(100, 100, 4), Temporal.timepos_t.from_ticks(Temporal.ticks_per_beat * 32))
Temporal.TempoMap.update(map)
map = nil

local midi = ARDOUR.ChanCount(ARDOUR.DataType("midi"), 1)
local tracks = session:new_midi_track(midi, midi, true, ARDOUR.PluginInfo(), nil, nil, 1, "solo",
  ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true)

function arm()
  for track in tracks:iter() do
    track:to_track():rec_enable_control():set_value(1, PBD.GroupControlDisposition.NoGroup)
  end
end
function roll() session:request_roll(UI) end
function record() session:maybe_enable_record(); roll() end
function halt() session:request_stop(false, false, UI) end
function locate(beat)
  local place = Temporal.timepos_t.from_ticks(Temporal.ticks_per_beat * beat):samples()
  session:request_locate(place, false, ARDOUR.LocateTransportDisposition.RollIfAppropriate, UI)
end
function lead()  -- Ardour follows JACK's transport, and as its timebase master says on which beat it is
  session:cfg():set_jack_time_master(true)
  session:cfg():set_external_sync(true)
end
function finish() session:save_state("") end

print("ready")
io.stdout:flush()
for line in io.lines() do
  local ok, message = pcall(load(line))
  print(line, ok, message)
  io.stdout:flush()
end
close_session()
quit()
