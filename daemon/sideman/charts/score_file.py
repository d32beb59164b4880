# SPDX-License-Identifier: Apache-2.0
"""Finds the parts of a MusicXML score in a file, compressed or not, even if the file is damaged.

- **Compressed.** The score is the file that `META-INF/container.xml` names. If that leads to no score, it is the first
  file in the archive that is one.
- **Damaged XML.** A wrong encoding, characters that XML forbids, a single `&` and entities of HTML are mended. Of a
  score that breaks off, what stands before is read.
- **By measures.** A score written measure by measure (`score-timewise`) is turned round.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from sideman.core.chart.chart import ChartError
from sideman_models.errors import ArchiveError
from sideman_models.files import ZipReader
from sideman_models.limits import SCORE, XML_TAGS

_CONTAINER = "META-INF/container.xml"
_MAX_MEMBERS_TRIED = 10
_MAX_ENTITIES = 1 << 16
"""Of more `&` none is mended."""
_SCORES = ("score-partwise", "score-timewise")
_XML_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});)([A-Za-z][A-Za-z0-9]{1,31};)?")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]{0,200}\?>")


def read_score(data: bytes, source: str, warn: Callable[[str], None]) -> ET.Element:
    """Return the root of a score, its parts written one by one. ChartError names `source`."""
    if not data.startswith(b"PK"):
        return _score(data, source, warn)
    try:
        archive = ZipReader(data, SCORE.bytes)
    except ArchiveError as error:
        raise ChartError(f"{source}: not a compressed score: {error}") from None
    problem: ChartError | None = None
    for name in _members(archive):
        try:
            return _score(archive.read(name), source, warn)
        except ArchiveError as error:
            problem = problem or ChartError(f"{source}: not a compressed score: {error}")
        except ChartError as error:
            problem = problem or error
    raise problem or ChartError(f"{source}: no score in this compressed file")


def _members(archive: ZipReader) -> Iterator[str]:
    """Return the members that may be the score, the most likely one first."""
    names = [name for name in archive.names if not name.startswith(("META-INF/", "__MACOSX/")) and name[-1:] != "/"]
    plain = {_plain(name): name for name in names}
    scores = [name for name in names if name.lower().endswith((".musicxml", ".xml"))]
    try:
        listed = _decoded(archive.read(_CONTAINER)) if _CONTAINER in archive.names else ""
    except ArchiveError:
        listed = ""
    paths = re.findall(r"full-path\s*=\s*(?:\"([^\"<>]*)\"|'([^<>]*?)'\s*(?:/?>|[a-z-]+\s*=))", listed[:100_000])
    named = [plain[path] for pair in paths if (path := _plain(html.unescape(pair[0] or pair[1]))) in plain]
    yield from list(dict.fromkeys(named + scores + names))[:_MAX_MEMBERS_TRIED]


def _plain(name: str) -> str:
    return unquote(name).replace("\\", "/").lstrip("./").lower()


def _score(data: bytes, source: str, warn: Callable[[str], None]) -> ET.Element:
    root = _parsed(data, source, warn)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # without its namespace
    score = next((each for name in _SCORES for each in root.iter(name)), None)
    if score is None:
        raise ChartError(f"{source}: this is no score; save it as MusicXML, part by part (score-partwise)")
    return _by_parts(score) if score.tag == "score-timewise" else score


def _by_parts(score: ET.Element) -> ET.Element:
    turned, parts = ET.Element("score-partwise"), dict[str, ET.Element]()
    turned.extend(each for each in score if each.tag != "measure")
    for measure in score.findall("measure"):
        for part in measure.findall("part"):
            name = part.get("id", "")
            if name not in parts:
                parts[name] = ET.SubElement(turned, "part", part.attrib)
            ET.SubElement(parts[name], "measure", measure.attrib).extend(part)
    return turned


def _parsed(data: bytes, source: str, warn: Callable[[str], None]) -> ET.Element:
    """Parse XML, but never an entity: a few of them can fill the memory, and others read files.

    Expat reads a document in UTF-16 or in an encoding that contains ASCII. So a declaration of an entity can only look
    like one of the three byte strings that are searched for. External DTDs, which many scores name, are not loaded.
    """
    if any("<!ENTITY".encode(encoding) in data for encoding in ("ascii", "utf-16-le", "utf-16-be")):
        raise ChartError(f"{source}: it defines entities, which no score needs")
    if data.count(b"<") > XML_TAGS.count:
        raise ChartError(f"{source}: far too long for a chart: more than {XML_TAGS.count} tags")
    try:
        return ET.fromstring(data)  # noqa: S314 - entities have been refused above
    except (ET.ParseError, ValueError, LookupError) as error:
        text = _mended(data)
        is_refused = "<!ENTITY" in text or text.count("<") > XML_TAGS.count // 2
        root, rest = (None, error) if is_refused else _begun(text)
        if root is None or (rest and next(root.iter("harmony"), None) is None):
            raise ChartError(f"{source}: not XML that can be read: {error}") from None
        warn(f"the XML is damaged ({rest or error}): {'what stands before is played' if rest else 'mended'}")
        return root


def _begun(text: str) -> tuple[ET.Element | None, Exception | None]:
    """Return the root as far as it can be read, and the error that ends it."""
    parser: Any = ET.XMLPullParser(["start"])
    root: ET.Element | None = None
    try:
        parser.feed(text)
        for _, element in parser.read_events():
            root = element if root is None else root
        parser.close()
    except ET.ParseError as error:
        return root, error
    return root, None


def _decoded(data: bytes) -> str:
    """Return the text of XML whatever encoding it declares."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    if b"\0" in data[:2]:
        return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _mended(data: bytes) -> str:
    text = _FORBIDDEN.sub("", _DECLARATION.sub("", _decoded(data)).lstrip("\ufeff \t\r\n"))
    return _XML_ENTITY.sub(_character, text) if text.count("&") <= _MAX_ENTITIES else text


def _character(match: re.Match[str]) -> str:
    """Return the character that an entity of HTML stands for; otherwise the `&` as it stands."""
    known = html.unescape(match.group())
    return html.escape(known if len(known) < len(match.group()) else match.group())
