"""The Azure driver's blocks: few enough for any chunking, staged again as seldom as that allows."""

import math
import random
from dataclasses import dataclass, field

import pytest

from layerstore import NoSpaceError
from layerstore_drivers.azure import writer as writers
from layerstore_drivers.azure.blocks import FIRST, MAX_BLOCKS, WIDTH, Block, BlockIDs, block_size
from layerstore_drivers.azure.writer import Draft

TIB = 1 << 40


@dataclass
class Service:
    """A writer's hold and the service, as a draft sees them: a block can be read only when it is committed."""

    key: str = "key"
    found: None = None
    published: list[Block] = field(default_factory=list)
    staged: list[int] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    unseen: int = 0

    def blocks(self) -> list[tuple[str, int]]:
        """Return the blocks of what is there: nothing is."""
        return []

    def submit(self, block: Block) -> None:
        """Stage a block."""
        assert block.data, "an empty block on the wire"
        self.contents[block.id] = block.data
        self.staged.append(block.size)
        block.staged = True
        block.data = block.data if block.keep else None

    def admit(self) -> None:
        """Have nothing to try again."""

    def leave(self, idle: int) -> None:
        """Have nothing on its way."""

    def settle(self, last: Block | None = None) -> None:
        """Stage the last block."""
        if last is not None:
            self.submit(last)

    def publish(self, blocks: list[Block]) -> str:
        """Commit, for all to see."""
        self.published = list(blocks)
        self._place(self.published)
        return "version"

    def keep_unseen(self, blocks: list[Block]) -> None:
        """Commit, for nobody to see."""
        self.unseen += 1
        self._place([*self.published, *blocks])

    def read(self, block: Block) -> bytes:
        """Read a block back, which must be committed."""
        assert block.at is not None
        return self.contents[block.id]

    def object(self) -> bytes:
        """Return what is there to see."""
        return b"".join(self.contents[block.id] for block in self.published)

    def _place(self, blocks: list[Block]) -> None:
        at = 0
        self.contents = {block.id: self.contents[block.id] for block in blocks}  # a commit drops all others
        for block in blocks:
            block.at = at
            at += block.size


def new_draft(service: Service, first: int) -> Draft:
    """Begin a draft of a new object."""
    return Draft(service, service, first)  # type: ignore[arg-type]  # both at once


def test_a_tebibyte_fits_with_every_second_block_nearly_empty() -> None:
    """Up to 1 TiB there are fewer than 50,000 blocks, even where no two in a row hold more than one full one."""
    offset = count = 0
    while offset < TIB:
        offset += block_size(offset)
        count += 1
    assert 2 * count + math.log2(block_size(TIB)) < MAX_BLOCKS


def test_blocks_of_ordinary_layers_are_of_the_first_size() -> None:
    """Up to 64 GiB a block has 8 MiB, which bounds the memory of an upload."""
    assert {block_size(0), block_size((64 << 30) - 1)} == {FIRST}
    assert block_size(64 << 30) == 2 * FIRST


def test_a_blocks_size_never_falls() -> None:
    """A later block is at least as large as an earlier one."""
    sizes = [block_size(offset << 30) for offset in range(0, 5000, 7)]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("piece", [1, 3, 63, 64, 65, 100])
def test_small_flushes_make_few_blocks(piece: int) -> None:
    """However short the pieces that are flushed one by one, no two blocks in a row fit into one, but for a few."""
    service, first, total = Service(), 64, 6400
    draft = new_draft(service, first)
    for start in range(0, total, piece):
        draft.write(start, memoryview(bytes([start % 251]) * min(piece, total - start)))
        draft.publish()
    assert len(service.published) <= 2 * total / first + math.log2(first)
    assert len(service.object()) == total


@pytest.mark.parametrize("piece", [1, 2, 7, 32])
def test_small_flushes_store_a_byte_a_few_times(piece: int) -> None:
    """Bytes that are flushed in short pieces are staged again only when their block doubles: a logarithm of times."""
    service, first, total = Service(), 64, 6400
    draft = new_draft(service, first)
    for start in range(0, total, piece):
        draft.write(start, memoryview(bytes(piece)))
        draft.publish()
    assert sum(service.staged) <= total * (1 + math.log2(first))


def test_a_rewrite_stages_the_blocks_it_touches() -> None:
    """A write to two bytes of a large object stages two blocks, and no others."""
    service, first = Service(), 100
    draft = new_draft(service, first)
    draft.write(0, memoryview(bytes(5000)))
    draft.publish()
    service.staged.clear()
    draft.write(250, memoryview(b"x"))
    draft.write(4444, memoryview(b"y"))
    draft.publish()
    assert service.staged == [100, 100]
    assert service.object()[250:251] + service.object()[4444:4445] == b"xy"


def test_a_block_that_is_overwritten_whole_is_not_read() -> None:
    """Overwriting in pieces that come to whole blocks reads nothing back."""
    service = Service()
    draft = new_draft(service, 100)
    draft.write(0, memoryview(bytes(1000)))
    service.read = None  # type: ignore[assignment,method-assign]  # must not be called
    for start in range(200, 500, 25):
        draft.write(start, memoryview(b"x" * 25))
    draft.publish()
    assert service.object() == bytes(200) + b"x" * 300 + bytes(500)
    assert service.unseen == 0


def test_gaps_are_one_block_of_zeros() -> None:
    """A gap takes one staged block, however wide it is."""
    service = Service()
    draft = new_draft(service, 100)
    draft.write(100_000, memoryview(b"x"))
    draft.publish()
    assert service.staged == [100, 1]
    assert service.object() == bytes(100_000) + b"x"


@pytest.mark.parametrize("seed", range(5))
def test_a_draft_is_a_file(seed: int) -> None:
    """After any writes, flushed or not, the draft holds the bytes that a file would."""
    draws, service, model = random.Random(seed), Service(), bytearray()
    draft = new_draft(service, 50)
    for _ in range(300):
        at, data = draws.randrange(len(model) + 120), draws.randbytes(draws.randrange(1, 170))
        draft.write(at, memoryview(data))
        model.extend(bytes(max(0, at - len(model))))
        model[at : at + len(data)] = data
        if draws.random() < 0.2:
            draft.publish()
    draft.publish()
    assert service.object() == bytes(model), f"seed {seed}"
    assert service.unseen > 0


def test_a_draft_is_cut_anywhere() -> None:
    """Bytes that a failed write has left beyond the end go, and later writes come after zeros."""
    for size in (0, 10, 100, 150, 249):
        service = Service()
        draft = new_draft(service, 100)
        draft.write(0, memoryview(b"x" * 250))
        draft.cut(size)
        draft.write(300, memoryview(b"y"))
        draft.publish()
        assert service.object() == b"x" * size + bytes(300 - size) + b"y", f"cut at {size}"


def test_too_many_blocks_are_refused_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that would need more blocks than the service takes is refused, and nothing is committed."""
    monkeypatch.setattr(writers, "MAX_BLOCKS", 20)
    service = Service()
    draft = new_draft(service, 10)
    draft.write(0, memoryview(bytes(201)))
    with pytest.raises(NoSpaceError, match="21 blocks"):
        draft.publish()
    assert service.published == []


def test_ids_are_of_one_length_and_no_two_sessions_share_one() -> None:
    """All ids of a blob have the same length; they hold a nonce of the session."""
    mine, yours = BlockIDs(), BlockIDs()
    ids = [each.new() for each in (mine, yours) for _ in range(1000)]
    assert len(set(ids)) == 2000
    assert {len(each) for each in ids} == {WIDTH}


@pytest.mark.parametrize("known", ["0" * 32, "a" * 24, "0001"])
def test_ids_are_as_long_as_those_of_another_tool(known: str) -> None:
    """Blocks added to another tool's blob have ids of the same length, and none that is there."""
    ids = BlockIDs(frozenset({known}))
    made = {ids.new() for _ in range(100)}
    assert len(made) == 100
    assert {len(each) for each in made} == {len(known)}
    assert known not in made
