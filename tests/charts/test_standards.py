# SPDX-License-Identifier: Apache-2.0
"""How many bars a chorus of well-known songs has, in all the ways in which iReal Pro's users write their forms.

The table has only facts: titles, the parts of a chorus and their bars. The charts are made here, with chords that mean
nothing but the number of their bar, so that the order of the bars is checked, not only their sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from sideman.charts.ireal import read_ireal
from support.ireal import playlist_link, song_text

FACTS = {
    "AABA 8 8 8 8": """
        Satin Doll; Take the A Train; Oleo; Anthropology; Moose the Mooche; Cotton Tail; Lester Leaps In;
        Rhythm-a-Ning; Honeysuckle Rose; Scrapple from the Apple; Ain't Misbehavin'; Body and Soul; Misty; 'Round
        Midnight; Ruby, My Dear; In a Sentimental Mood; Sophisticated Lady; Prelude to a Kiss; Don't Get Around Much
        Anymore; Just Squeeze Me; Perdido; What's New; Darn That Dream; Polka Dots and Moonbeams; I Can't Get Started;
        The Man I Love; Oh, Lady Be Good; Someone to Watch Over Me; Over the Rainbow; Blue Moon; Have You Met Miss
        Jones; Lover Man; Good Bait; Well, You Needn't; In Walked Bud; I Mean You; Nutty; Monk's Dream; Confirmation;
        Yardbird Suite; Jordu; Daahoud; Joy Spring; So What; Impressions; Maiden Voyage; Don't Blame Me; Georgia on My
        Mind; September in the Rain; Moonglow; Makin' Whoopee; On the Sunny Side of the Street; Mean to Me; Jeepers
        Creepers; Exactly Like You; What Is This Thing Called Love; Hot House; Softly, as in a Morning Sunrise; You
        Don't Know What Love Is; Angel Eyes; Easy Living; Lullaby of Birdland; Killer Joe; Lazy Bird; Afternoon in
        Paris; Nardis; Woody'n You; Con Alma; My Little Suede Shoes; Ah-Leu-Cha; Steeplechase; Kim; Thriving on a
        Riff; Crazeology; Dexterity; An Oscar for Treadwell; Celebrity; Chasing the Bird; Shaw 'Nuff; Dizzy
        Atmosphere; Salt Peanuts; Wee; Stompin' at the Savoy; Seven Come Eleven; Flying Home; Undecided; Robbins'
        Nest; Topsy; Moanin'; Whisper Not; Ask Me Now; Reflections; Monk's Mood; Bye-Ya; Evidence; Little Rootie
        Tootie; Off Minor; Four in One; Straighten Up and Fly Right; These Foolish Things; The Nearness of You;
        Skylark; Heart and Soul; Blue Skies; I'm in the Mood for Love; I Cover the Waterfront; Rosetta; Ghost of a
        Chance; Crazy Rhythm; Sweet Lorraine; When Sunny Gets Blue; Teach Me Tonight; Willow Weep for Me; Let's Fall
        in Love; Memories of You; It's Only a Paper Moon; Five Foot Two; Yes Sir, That's My Baby; Santa Claus Is
        Comin' to Town
    """,
    "ABAC 8 8 8 8": """
        There Will Never Be Another You; Days of Wine and Roses; My Romance; Four; All of Me; But Not for Me;
        Embraceable You; How High the Moon; Ornithology; Indiana; Donna Lee; I Thought About You; On Green Dolphin
        Street; Like Someone in Love; Just Friends; Out of Nowhere; It Could Happen to You; You Stepped Out of a
        Dream; Pennies from Heaven; Groovin' High; Whispering; Shiny Stockings; Dewey Square; Someday My Prince Will
        Come; Fly Me to the Moon; Our Love Is Here to Stay; I Could Write a Book; Tea for Two; My Foolish Heart;
        Emily; When I Fall in Love; Here's That Rainy Day; Gone with the Wind; Laura; Dearly Beloved; Dream; Rose
        Room; In a Mellow Tone; Avalon
    """,
    "ABCD 8 8 8 8": "Stella by Starlight; Autumn Leaves; Bye Bye Blackbird; Sweet Georgia Brown; Dig",
    "AABA 16 16 16 16": """
        Cherokee; Ko-Ko; Love for Sale; Caravan; Just One of Those Things; Nica's Dream; Warming Up a Riff
    """,
    "AABA 16 16 8 16": "Speak Low",
    "AABA 8 8 16 8": "The Girl from Ipanema",
    "AABA 12 12 8 12": "Wave; Locomotion",
    "ABA 16 16 16": "I'll Remember April",
    "ABCD 8 8 8 12": "All the Things You Are; My Funny Valentine; I Remember You",
    "A 12": """
        Blue Monk; Straight, No Chaser; Billie's Bounce; Now's the Time; Au Privave; Blues for Alice; Tenor Madness;
        Sonnymoon for Two; C Jam Blues; Bags' Groove; Mr. P.C.; Cousin Mary; Bessie's Blues; Walkin'; Things Ain't
        What They Used to Be; Sandu; Chi Chi; Cheryl; Relaxin' at Camarillo; Barbados; Perhaps; Laird Baird; K.C.
        Blues; Parker's Mood; Bloomdido; Mohawk; Misterioso; Blue 'n' Boogie; Equinox; Some Other Blues; Israel;
        Turnaround; Doodlin'; Senor Blues; Blues March; Isotope; Solar; All Blues; Freddie Freeloader; Vierd Blues;
        Blues in the Closet; Take the Coltrane; Buzzy; Another Hairdo; Visa; Si Si; Ba-lue Bolivar Ba-lues-are
    """,
    "A 16": """
        Tune Up; Blue Bossa; Watermelon Man; St. Thomas; Doxy; Sugar; Giant Steps; Countdown; Stolen Moments;
        Summertime; Lady Bird; Half Nelson; Work Song; Cantaloupe Island; Fee-Fi-Fo-Fum; Nefertiti; Recorda-Me
    """,
    "A 24": "Song for My Father; The Sidewinder; Peri's Scope; Inner Urge; JuJu; Witch Hunt",
    "A 10": "Blue in Green; Peace",
    "A 14": "Serenity",
    "A 18": "Pinocchio",
    "A 27": "Infant Eyes",
}  # fmt: skip

Parts = dict[str, list[int]]
Written = tuple[str, list[int]]
"""Music of iReal Pro, and the numbers of its bars in the order played."""


def chord(number: int) -> str:
    """A chord that says which bar it is."""
    return ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")[number % 12] + QUALITIES[number // 12]


QUALITIES = ("^7", "-7", "7", "h7", "o7", "6", "-6", "7sus")


def row(bars: list[int], text: str = "") -> str:
    """The bars between two signs; `text` stands where it fits, in the bar before the last one."""
    cells = [f"{chord(bar)}   " for bar in bars]
    if text:
        cells[max(0, len(cells) - 2)] = f"<{text}>" + cells[max(0, len(cells) - 2)]
    return "|".join(cells)


def plain(order: str, parts: Parts) -> Written:
    """All parts written out."""
    played = [bar for name in order for bar in parts[name]]
    return "T44" + "".join(f"*{name}[{row(parts[name])}]" for name in order), played


def repeated_heads(parts: Parts) -> Iterator[Written]:
    """An AABA form in which not every A is written out, most of them with endings of two bars."""
    a, b = parts["A"], parts["B"]
    common, first, second = a[:-2], a[-2:], [90, 91]
    head = f"{{*AT44{row(common)}|N1{row(first)}}}"
    played = [*common, *first, *common, *second, *b]
    last = [*common, *second]
    n2 = row(second)
    yield f"{head}|N2{n2}][*B{row(b, 'D.C. al 2nd End.')}]", played + last
    yield f"{head}        N2{n2}][*B{row(b, 'D.C. al 2nd ending')}Z", played + last
    yield f"{head}|N2{n2}<Fine>][*B{row(b, 'D.C. al Fine')}Z", played + last
    yield f"{{*AST44{row(common)}|N1{row(first)}}}|N2{n2}<Fine>][*B{row(b, 'D.S. al Fine')}Z", played + last
    yield f"{head[:-1]}]N2{n2}][*B{row(b, 'D.C. al 2nd End.')}Z", played + last
    yield f"{head}{{N2{n2}}}[*B{row(b)}][*A{row(last)}Z", played + last
    yield f"{head}        |        |        N2{n2}]Y[*B{row(b)}][*A{row(common)}|{n2}Z", played + last
    yield f"{head}|N2{n2}][*B{row(b, 'D.C. al 3rd End.')}]Y|N3{row([92, 93])}Z", [*played, *common, 92, 93]
    yield (
        f"{{*AT44{row(common)}Q|N1{row(first)}}}|N2{n2}][*B{row(b, 'D.C. al Coda')}][Q{row([92, 93])}Z",
        [*played, *common, 92, 93],
    )
    yield f"T44[*A{row(a)}<Fine>][*A{row(a)}][*B{row(b, 'D.C. al Fine')}Z", [*a, *a, *b, *a]


def spellings(form: str, parts: Parts) -> Iterator[Written]:
    """The ways in which a form is written."""
    yield plain(form, parts)
    if form == "AABA":
        yield from repeated_heads(parts)
    if form == "ABAC":
        a, b, c = (parts[name] for name in "ABC")
        yield f"{{*AT44{row(a)}|N1{row(b)}}}|N2{row(c)}Z", [*a, *b, *a, *c]
        yield f"{{*AT44{row(a)}|N1{row(b)}]|N2{row(c)}Z", [*a, *b, *a, *c]
        yield f"[*AT44{row(a)}Q|{row(b, 'D.C. al Coda')}][Q{row(c)}Z", [*a, *b, *a, *c]
    if form == "A":
        a = parts["A"]
        yield "T44{" + row(a[: len(a) // 2]) + "|" + row(a[len(a) // 2 :]) + "Z", a  # never closed
        yield "T44[" + "|".join(f"{chord(a[0])}   " if bar == a[0] else " x  " for bar in a) + "Z", [a[0]] * len(a)


def _parts(lengths: dict[str, int]) -> Parts:
    numbers = count()
    return {name: [next(numbers) for _ in range(length)] for name, length in lengths.items()}


CASES = [
    pytest.param(key, title.strip(), id=title.strip())
    for key, titles in FACTS.items()
    for title in " ".join(titles.split()).split(";")
    if title.strip()
]


@pytest.mark.parametrize(("key", "title"), CASES)
def test_a_chorus_of_a_standard_has_its_bars(key: str, title: str) -> None:
    """Guards against: a chorus that is a bar or two short, in a song that everybody on the stand knows."""
    form, *lengths = key.split()
    parts = _parts(dict(zip(form, map(int, lengths), strict=True)))
    for music, played in spellings(form, parts):
        chart = read_ireal(playlist_link(song_text(title, music)), "x", title)
        assert [str(bar.chords[0][1]) for bar in chart.bars] == [chord(number) for number in played], music
        assert len(chart.bars) == sum(map(int, lengths))
