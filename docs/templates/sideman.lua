-- SPDX-License-Identifier: Apache-2.0
-- A template for Ardour 6 to 8. Copy it to ~/.config/ardour7/scripts/ (ardour6, ardour8), start sideman, and choose
-- "sideman" in Ardour's window for new sessions. Then put an instrument on each track, and connect "MIDI Clock out" to
-- sideman-in in Window, MIDI Connections.
ardour {
  ["type"] = "SessionInit",
  name = "sideman",
  description = [[A track for each part of sideman's band and one for you, connected; Ardour's clock leads.]]
}

function factory () return function ()
  local midi = ARDOUR.ChanCount(ARDOUR.DataType("midi"), 1)
  local audio = ARDOUR.ChanCount(ARDOUR.DataType("audio"), 2)

  local function track(name, from, channel)
    local list = Session:new_midi_track(midi, audio, true, ARDOUR.PluginInfo(), nil, nil, 1, name,
      ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true)
    local made = list:front():to_track()
    if from then made:input():midi(0):connect(from) end
    if channel then
      made:to_midi_track():set_capture_channel_mode(ARDOUR.ChannelMode.FilterChannels, 1 << (channel - 1))
      made:to_midi_track():set_playback_channel_mode(ARDOUR.ChannelMode.FilterChannels, 1 << (channel - 1))
    end
    made:monitoring_control():set_value(ARDOUR.MonitorChoice.MonitorInput, PBD.GroupControlDisposition.NoGroup)
    return made
  end

  Session:add_master_bus(audio)
  track("Solo", "sideman:out", 1)
  track("Chords", "sideman:out", 2)
  track("Bass", "sideman:out", 3)
  track("Drums", "sideman:out", 10)
  track("You"):output():midi(0):connect("sideman-in:in") -- its input is your keyboard
  ARDOUR.config():set_send_midi_clock(true)
end end
