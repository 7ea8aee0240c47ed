"""Tarsums: moby's own answers under both formulas, what a tarsum does not see, and archives made to hurt."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from layerstore import tarsum
from layerstore.errors import InvalidArchiveError
from layerstore.tarsum import TarSums, tarentries, tarsums

END = bytes(1024)
NOTHING = hashlib.sha256(b"").hexdigest()


def header(name: bytes = b"file", size: int = 0, flag: bytes = b"0", **fields: bytes) -> bytes:
    """Make a ustar header block, any field of it as given; numbers as bytes, the checksum right unless given."""
    values = {
        "name": name,
        "mode": b"0000644",
        "uid": b"0001750",
        "gid": b"0001751",
        "size": b"%011o" % size,
        "mtime": b"%011o" % 1_400_000_000,
        "chksum": b" " * 8,
        "flag": flag,
        "linkname": b"",
        "magic": b"ustar\x0000",
        "uname": b"",
        "gname": b"",
        "devmajor": b"0000000",
        "devminor": b"0000000",
        "prefix": b"",
    } | fields
    widths = (100, 8, 8, 8, 12, 12, 8, 1, 100, 8, 32, 32, 8, 8, 167)
    block = b"".join(value.ljust(width, b"\0") for value, width in zip(values.values(), widths, strict=True))
    assert len(block) == 512
    return block if "chksum" in fields else block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(data: bytes) -> bytes:
    """Fill up to whole blocks."""
    return data + bytes(-len(data) % 512)


def entry(name: bytes = b"file", data: bytes = b"", flag: bytes = b"0", **fields: bytes) -> bytes:
    """Make an entry: header and content."""
    return header(name, len(data), flag, **fields) + padded(data)


def pax(*records: bytes) -> bytes:
    """Make a PAX header of ``key=value`` records."""
    lengths = [next(n for n in range(len(r), len(r) + 12) if n == len(b"%d %s\n" % (n, r))) for r in records]
    return entry(b"pax", b"".join(b"%d %s\n" % pair for pair in zip(lengths, records, strict=True)), b"x")


def sums(archive: bytes) -> TarSums:
    """Sum an archive in memory."""
    return tarsums(io.BytesIO(archive))


def summed(*heads_and_data: bytes) -> str:
    """Return the tarsum of entries that hash as these bytes do."""
    digests = sorted(hashlib.sha256(each).hexdigest() for each in heads_and_data)
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def fields(name: bytes = b"file", size: int = 0, flag: bytes = b"0", rest: bytes = b"", **other: bytes) -> bytes:
    """Return what version 1 hashes of a header, spelled out."""
    values = {"link": b"", "uname": b"", "gname": b"", "major": b"0", "minor": b"0", "uid": b"1000"} | other
    return (
        b"name%smode420uid%sgid1001size%dtypeflag%s" % (name, values["uid"], size, flag)
        + b"linkname%suname%sgname%s" % (values["link"], values["uname"], values["gname"])
        + b"devmajor%sdevminor%s" % (values["major"], values["minor"])
        + rest
    )


def written(form: int, infos: list[tarfile.TarInfo], data: bytes = b"") -> bytes:
    """Let Python's tarfile write an archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info in infos:
            info.size = len(data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return buffer.getvalue()


def known(name: str, data: bytes, **xattrs: str) -> bytes:
    """Write the archives of moby's TestIteration (pkg/tarsum/tarsum_test.go)."""
    info = tarfile.TarInfo(name)
    info.mode = 0
    if data:
        info.uid, info.gid, info.uname, info.gname = 1000, 1000, "slartibartfast", "users"
    info.pax_headers = {f"SCHILY.xattr.user.{key}": value for key, value in xattrs.items()}
    return written(tarfile.PAX_FORMAT, [info], data)


@pytest.mark.parametrize(
    ("archive", "current", "original"),
    [
        (
            known("file.txt", b""),
            "6ffd43a1573a9913325b4918e124ee982a99c0f3cba90fc032a65f5e20bdd465",
            "6ffd43a1573a9913325b4918e124ee982a99c0f3cba90fc032a65f5e20bdd465",
        ),
        (
            known("another.txt", b"test"),
            "862964db95e0fa7e42836ae4caab3576ab1df8d275720a45bdd01a5a3730cc63",
            "b38166c059e11fb77bef30bf16fba7584446e80fcc156ff46d47e36c5305d8ef",
        ),
        (
            known("xattrs.txt", b"test", key1="value1", key2="value2"),
            "4b1ba03544b49d96a32bacc77f8113220bd2f6a77e7e6d1e7b33cd87117d88e7",
            "4cc2e71ac5d31833ab2be9b4f7842a14ce595ec96a37af4ed08f87bc374228cd",
        ),
        (
            known("xattrs.txt", b"test", KEY1="value1", key2="value2"),
            "410b602c898bd4e82e800050f89848fc2cf20fd52aa59c1ce29df76b878b84a6",
            "65f4284fa32c0d4112dd93c3637697805866415b570587e4fd266af241503760",
        ),
        (b"", NOTHING, NOTHING),
        (END, NOTHING, NOTHING),
    ],
)
def test_moby_gives_the_same_answers(archive: bytes, current: str, original: str) -> None:
    """The sums in moby's own tests, now and before a422774e59."""
    assert sums(archive) == TarSums(current, original)


def test_every_field_is_hashed_in_order() -> None:
    """Names and values of all fields but the time, then attributes by key, then the content."""
    archive = (
        pax(b"SCHILY.xattr.user.b=2", b"mtime=1.5", b"SCHILY.xattr.user.a=1", b"comment=no")
        + entry(b"file", b"content", uname=b"me", gname=b"us")
        + END
    )
    assert sums(archive) == (
        summed(fields(size=7, rest=b"user.a1user.b2content")),
        summed(fields(size=7, uname=b"me", gname=b"us", rest=b"user.a1user.b2content")),
    )


def test_times_are_not_looked_at() -> None:
    """Neither what a time is, nor whether it is one."""
    assert sums(header(mtime=b"never")) == sums(header()) == (summed(fields()),) * 2


@pytest.mark.parametrize(("name", "flag"), [(b"dir/", b"5"), (b"file", b"0")])
def test_an_old_typeflag_counts_as_the_formula_has_it(name: bytes, flag: bytes) -> None:
    """NUL is hashed as it stands by the original formula, and as what it means by the current one."""
    assert sums(entry(name, flag=b"\0")) == (summed(fields(name, flag=flag)), summed(fields(name, flag=b"\0")))


@pytest.mark.parametrize("flag", [b"3", b"4"])
def test_device_numbers_of_devices_count_in_both(flag: bytes) -> None:
    """A device is hashed with its numbers."""
    expected = summed(fields(flag=flag, major=b"8", minor=b"1"))
    assert sums(header(flag=flag, devmajor=b"0000010", devminor=b"0000001")) == (expected, expected)


def test_device_numbers_of_files_count_in_the_current_formula_only() -> None:
    """The original formula's reader did not read them."""
    archive = header(devmajor=b"0000010", devminor=b"0000001")
    assert sums(archive) == (summed(fields(major=b"8", minor=b"1")), summed(fields()))


def test_a_link_is_hashed_with_its_target_and_a_directory_with_its_slash() -> None:
    """Names and targets are hashed as they stand, bytes that are no UTF-8 included."""
    archive = entry(b"a/", flag=b"5") + entry(b"l\xff", flag=b"2", linkname=b"a\xfe") + END
    assert sums(archive).current == summed(fields(b"a/", flag=b"5"), fields(b"l\xff", flag=b"2", link=b"a\xfe"))


@pytest.mark.parametrize(
    ("archive", "name", "link"),
    [
        (entry(b"n", prefix=b"p/q"), b"p/q/n", b""),
        (entry(b"n", prefix=b"p".ljust(131, b"p") + b"0".ljust(24) + bytes(8) + b"tar\0"), b"p" * 131 + b"/n", b""),
        (entry(b"n" * 100, prefix=b"p" * 155), b"p" * 155 + b"/" + b"n" * 100, b""),
        (entry(b"n", magic=b"ustar  ", prefix=b""), b"n", b""),
        (entry(b"n", magic=b"", prefix=b"no"), b"n", b""),
        (pax(b"path=long", b"linkpath=far") + entry(b"n", linkname=b"l"), b"long", b"far"),
        (pax(b"path=a", b"path=b") + entry(b"n"), b"b", b""),
        (pax(b"path=a=b\nc") + entry(b"n"), b"a=b\nc", b""),
        (entry(b"", b"long\0tail", b"L") + entry(b"n"), b"long", b""),
        (entry(b"", b"far\0", b"K") + entry(b"", b"long\0", b"L") + entry(b"n"), b"long", b"far"),
        (entry(b"", b"long\0", b"L") + pax(b"path=short") + entry(b"n"), b"long", b""),
        (entry(b"", b"l" * 1000, b"L") + entry(b"n"), b"l" * 1000, b""),
    ],
)
def test_names_come_from_where_go_takes_them(archive: bytes, name: bytes, link: bytes) -> None:
    """Prefix, PAX record or GNU long name: joined or overruled as archive/tar does."""
    assert sums(archive + END).original == summed(fields(name, link=link))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0001750", b"1000"),
        (b"   1750", b"1000"),
        (b"1750 \0\0 ", b"1000"),
        (b"", b"0"),
        (b"17\x0099", b"15"),
        (b"\x80" + bytes(5) + b"\x03\xe8", b"1000"),
        (b"\x80\0\0\0\xff\xff\xff\xff", b"4294967295"),
    ],
)
def test_numbers_are_octal_or_binary(field: bytes, value: bytes) -> None:
    """Padded with spaces or NULs, cut at one, empty, or in base 256."""
    assert sums(header(uid=field)).current == summed(fields(uid=value))


def test_pax_numbers_overrule_the_headers() -> None:
    """A PAX size is the one that is read by; uid and gid likewise."""
    archive = pax(b"uid=3000000", b"size=3") + header(uid=b"0000001") + padded(b"abc") + END
    assert sums(archive).current == summed(fields(size=3, uid=b"3000000", rest=b"abc"))


def test_v7_headers_have_no_owner() -> None:
    """Without a magic there are no names of owners to hash."""
    assert sums(header(magic=b"", uname=b"me", gname=b"us")).original == summed(fields())


def test_a_signed_checksum_is_one() -> None:
    """Some writers summed bytes as signed; Go takes that too."""
    block = header(b"\xff\xfe")
    signed = sum(block[:148] + b" " * 8 + block[156:]) - 2 * 256
    assert sums(header(b"\xff\xfe", chksum=b"%06o\0 " % signed)) == sums(block)


NAMES = ("plain", "d" * 60 + "/" + "n" * 90, "ünïcödé/☃")


@pytest.mark.parametrize("name", NAMES)
def test_formats_of_one_tree_have_one_tarsum(name: str) -> None:
    """Python's ustar, GNU and PAX archives of the same entries agree: the encoding of a name is not hashed."""
    found = set()
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file, folder, link = tarfile.TarInfo(name), tarfile.TarInfo("dir"), tarfile.TarInfo("link")
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, name[:100]
        file.uname = folder.gname = "someone"
        found.add(sums(written(form, [file, folder, link], b"data")))
    assert len(found) == 1
    assert found.pop().current != NOTHING


# What a tarsum does not see (moby's own code agrees on each).
LAST = entry(b"a", b"one") + entry(b"b", b"last")


def test_order_is_not_seen() -> None:
    """Entries of different paths may change places."""
    assert sums(entry(b"b", b"last") + entry(b"a", b"one") + END) == sums(LAST + END)


@pytest.mark.parametrize("end", [b"", bytes(512), END, END + b"garbage", END + entry(b"c", b"more")])
def test_what_follows_the_entries_is_not_seen(end: bytes) -> None:
    """No end marker, half of one, or anything after it."""
    assert sums(LAST + end) == sums(LAST + END)


def test_what_follows_the_end_is_not_read() -> None:
    """The stream stands right after the end marker."""
    stream = io.BytesIO(LAST + END + b"rest")
    tarsums(stream)
    assert stream.read() == b"rest"


def test_owners_are_not_seen_by_the_current_formula() -> None:
    """Two owners' names: one current tarsum, two original ones."""
    one, other = sums(entry(uname=b"me")), sums(entry(uname=b"you"))
    assert one.current == other.current
    assert one.original != other.original


def test_the_end_of_an_attributes_name_is_not_seen() -> None:
    """There is no delimiter between a key and its value."""
    assert sums(pax(b"SCHILY.xattr.user.a=bc") + entry()) == sums(pax(b"SCHILY.xattr.user.ab=c") + entry())


def test_an_archive_cut_anywhere_is_refused_or_known_to_be_equal() -> None:
    """Cut inside the last file's padding or the end marker's blocks: equal; at an entry's end: fewer; else refused."""
    content_end = len(LAST) - 512 + 4
    whole, fewer, nothing = sums(LAST + END), sums(entry(b"a", b"one")), sums(b"")
    allowed = {0: nothing, **dict.fromkeys(range(515, 1025), fewer), len(LAST) + 512: whole, len(LAST) + 1024: whole}
    allowed |= dict.fromkeys(range(content_end, len(LAST) + 1), whole)
    for cut in range(len(LAST + END) + 1):
        if cut in allowed:
            assert sums((LAST + END)[:cut]) == allowed[cut]
        else:
            with pytest.raises(InvalidArchiveError) as caught:
                sums((LAST + END)[:cut])
            assert caught.value.offset == cut


# Entries of one path keep their order (fileinfosums.go, SortBySums).
TWICE = [entry(b"same", data) for data in (b"first", b"second")]


def heads(*data: bytes, name: bytes = b"same") -> list[str]:
    """Return the sums of entries of one path, in their order."""
    return [hashlib.sha256(fields(name, len(each), rest=each)).hexdigest() for each in data]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_entries_of_one_path_keep_their_order(order: tuple[int, int]) -> None:
    """Which of two wins is what an archive with both means: so it is hashed."""
    one, two = heads(b"first", b"second")
    expected = hashlib.sha256(((one, two)[order[0]] + (one, two)[order[1]]).encode()).hexdigest()
    assert sums(TWICE[order[0]] + TWICE[order[1]] + END).current == expected


@pytest.mark.parametrize("spelled", [b"./same", b"/same", b"same/", b"x/../same", b"../same", b"same//."])
def test_a_path_is_one_however_spelled(spelled: bytes) -> None:
    """Paths are compared as moby cleans them."""
    data = next(b"%d" % n for n in range(99) if heads(b"%d" % n, name=spelled) < heads(b"first"))
    expected = heads(b"first") + heads(data, name=spelled)
    archive = entry(b"same", b"first") + entry(spelled, data)
    assert sums(archive).current == hashlib.sha256("".join(expected).encode()).hexdigest()


def descending() -> list[bytes]:
    """Return two contents, the sum of the first far above that of the second."""
    found = sorted((b"%d" % n for n in range(500)), key=heads)
    return [found[-1], found[0]]


def test_a_cycle_of_few_entries_is_sorted_by_insertion() -> None:
    """A high sum, another path's, a low one: the other passes high, and low, of high's path, stays behind it."""
    high, low = descending()
    first, last = heads(high, low)
    (other,) = heads(b"", name=b"other")
    assert last < other < first
    archive = entry(b"same", high) + entry(b"other") + entry(b"same", low)
    assert sums(archive).current == hashlib.sha256((other + first + last).encode()).hexdigest()


@pytest.mark.parametrize("others", [4, 5])
def test_a_descending_path_among_many_is_refused(others: int) -> None:
    """Beyond six entries Go's versions answer differently: no answer is better than one of theirs."""
    archive = b"".join(entry(b"%d" % n) for n in range(others)) + b"".join(entry(b"same", d) for d in descending())
    if others + 2 <= 6:
        assert sums(archive).current != NOTHING
    else:
        with pytest.raises(InvalidArchiveError, match="repeated path"):
            sums(archive)


def test_an_ascending_path_among_many_is_sorted_by_sums() -> None:
    """Entries of one path whose sums are in order anyway disturb nothing; the same entry twice neither."""
    contents = descending()[::-1]
    archive = [entry(b"same", data) for data in (*contents, contents[1])] + [entry(b"%d" % n) for n in range(20)]
    expected = summed(
        *(fields(b"same", len(data), rest=data) for data in (*contents, contents[1])),
        *(fields(b"%d" % n) for n in range(20)),
    )
    assert sums(b"".join(archive)).current == expected


LONG = tarentries.EXTENSION_LIMIT


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (b"garbage", "truncated header"),
        (b"\x1f\x8b" + b"garbage" * 99, "number that is not octal|wrong checksum"),
        (header(chksum=b"000001\0 "), "wrong checksum"),
        (header(chksum=b"gibberis"), "not octal"),
        (bytes(512) + header(), "single zero block"),
        (bytes(512) + b"short", "single zero block"),
        (header(size=5) + b"four", "truncated content, 1 of 5"),
        (header(size=8**11 - 1), "truncated content"),
        (header(b"x", LONG + 1, b"x"), "extension header of 1048577 bytes"),
        (header(b"x", LONG + 1, b"L"), "extension header of 1048577 bytes"),
        (header(b"x", 100, b"x") + b"short", "truncated extension"),
        (pax(b"path=alone"), "without an entry"),
        (pax(b"path=alone") + END, "without an entry"),
        (entry(b"", b"alone", b"L")[:-1], "without an entry"),
        (header(size=0, flag=b"0", uid=b"-1"), "not octal"),
        (header(uid=b"0x10"), "not octal"),
        (header(uid=b"18"), "not octal"),
        (header(gid=b"1_0"), "not octal"),
        (header(devmajor=b"x"), "not octal"),
        (header(uid=b"\xff" * 8), "negative or huge"),
        (header(size=0, mode=b"\xc0" + bytes(7)), "negative or huge"),
        *((entry(b"l", b"content", flag), "content on a") for flag in (b"1", b"2", b"3", b"4", b"5", b"6")),
        (entry(b"d/", b"content", b"\0"), "content on a"),
        (pax(b"size=3") + entry(b"l", b"", b"2"), "content on a"),
        (entry(b"sparse", b"content", b"S"), "sparse"),
        (pax(b"GNU.sparse.major=1", b"GNU.sparse.minor=0") + entry(), "sparse"),
        (entry(b"global", b"11 path=x\n", b"g"), "global"),
        (entry(magic=b"ustar  ", prefix=b"00000000001"), "GNU header"),
        (pax(b"path=a") + pax(b"path=b") + entry(), "contradicts"),
        (pax(b"uid=1") + entry(b"", b"long", b"L") + entry(), "contradicts"),
        (entry(b"", b"a", b"K") * 2 + entry(), "contradicts"),
        *((pax(key + b"=") + entry(), "empty") for key in (b"path", b"linkpath", b"uname", b"gname")),
        (pax(b"path=a\0b") + entry(), "NUL"),
        (entry(b"", b"\0name", b"L") + entry(), "empty"),
        *((pax(b"size=" + n) + entry(), "PAX size") for n in (b"", b"-1", b"+1", b"1e3", b"9" * 19, b"9" * 5000)),
        (pax(b"uid=\xd9\xa1") + entry(), "PAX uid"),
        (pax(b"gid=9223372036854775808") + entry(), "PAX gid"),
        (pax(b"=value") + entry(), "without a key"),
        (pax(b"no equals") + entry(), "without a key"),
        (pax(b"k\0=v") + entry(), "without a key"),
        *(
            (entry(b"x", body, b"x") + entry(), "malformed")
            for body in (
                b"path=x",
                b"99 path=x\n",
                b"8 path=x\n",
                b"0 \n",
                b"-9 path=x\n",
                b"9" * 6000,
                b"2 \n",
                b" 9 a=b\n",
            )
        ),
    ],
)
def test_what_is_no_archive_or_has_no_one_tarsum_is_refused(archive: bytes, why: str) -> None:
    """With the reason, and never with another error."""
    with pytest.raises(InvalidArchiveError, match=why) as caught:
        sums(archive)
    assert 0 <= caught.value.offset <= len(archive)


def test_the_largest_number_has_63_bits() -> None:
    """A size of 2**63 - 1 is one, that no stream has; 2**63 is none."""
    for size, why in ((2**63 - 1, "truncated content"), (2**63, "negative or huge")):
        block = header()
        block = block[:124] + b"\x80" + size.to_bytes(11) + block[136:]
        block = block[:148] + b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:])) + block[156:]
        with pytest.raises(InvalidArchiveError, match=why):
            sums(block)


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is exact."""
    monkeypatch.setattr(tarsum, "ENTRIES_LIMIT", 3)
    assert sums(entry() * 3 + END).current != NOTHING
    with pytest.raises(InvalidArchiveError, match="more than 3 entries"):
        sums(entry() * 4 + END)


def test_the_longest_extension_is_read() -> None:
    """A name of exactly the limit is one."""
    assert sums(entry(b"", b"n" * LONG, b"L") + entry()).current == summed(fields(b"n" * LONG))


ARCHIVE = pax(b"SCHILY.xattr.user.a=1", b"path=some/path") + LAST + entry(b"", b"long", b"L") + entry(b"d/", b"", b"5")


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=3000))
@example(data=b"\0" * 1536)
def test_garbage_raises_nothing_else(data: bytes) -> None:
    """Any bytes give tarsums or InvalidArchiveError."""
    attempt(data)


@settings(deadline=None, max_examples=500)
@given(
    st.lists(st.tuples(st.integers(0, len(ARCHIVE) - 1), st.integers(0, 255)), min_size=1, max_size=6), st.booleans()
)
def test_a_damaged_archive_raises_nothing_else(damage: list[tuple[int, int]], repaired: bool) -> None:
    """Bytes changed anywhere, checksums wrong or put right again: tarsums or InvalidArchiveError."""
    data = bytearray(ARCHIVE + END)
    for at, byte in damage:
        data[at] = byte
    for at in range(0, len(ARCHIVE), 512) if repaired else ():
        block = data[at : at + 148] + b" " * 8 + data[at + 156 : at + 512]
        data[at + 148 : at + 156] = b"%06o\0 " % sum(block)
    attempt(bytes(data))


def attempt(data: bytes) -> None:
    """Sum bytes that may be no archive."""
    try:
        found = sums(data)
    except InvalidArchiveError as error:
        assert 0 <= error.offset <= len(data)  # noqa: PT017 - whether there is an error is not the question
    else:
        assert all(len(each) == 64 for each in found)


class Generated:
    """A stream of an archive with one large file of zeros, in pieces of random sizes, made as it is read."""

    def __init__(self, size: int, seed: int) -> None:
        self._left: list[bytes | int] = [header(size=size), size, bytes(-size % 512) + END]
        self._random = random.Random(seed)

    def read(self, size: int, /) -> bytes:
        """Return some of the bytes asked for."""
        size = self._random.randint(1, size) if size else 0
        if not self._left:
            return b""
        part = self._left[0]
        given = bytes(min(size, part)) if isinstance(part, int) else part[:size]
        rest: bytes | int = part - len(given) if isinstance(part, int) else part[size:]
        self._left[0:1] = [rest] if rest else []
        return given


def test_memory_is_bounded_and_short_reads_are_no_end() -> None:
    """64 MiB of content take less than 4 MiB of memory, whatever the pieces they come in."""
    size = 64 << 20
    tracemalloc.start()
    try:
        found = tarsums(Generated(size, seed=7))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    expected = hashlib.sha256(fields(size=size))
    for _ in range(64):
        expected.update(bytes(1 << 20))
    assert found.current == hashlib.sha256(expected.hexdigest().encode()).hexdigest()
    assert peak < 4 << 20


def test_a_streams_own_errors_pass() -> None:
    """An error of the stream is no judgement on the archive."""
    stream = io.BytesIO(LAST)
    stream.close()
    with pytest.raises(ValueError, match="closed") as caught:
        tarsums(stream)
    assert not isinstance(caught.value, InvalidArchiveError)
