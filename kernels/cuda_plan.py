"""Which CUDA kernel serves a call, and how it is laid out on the device: variants, blocks, tiles, shared memory.

Plain arithmetic, without torch or CuPy; `kernels/cuda_scan.cu` says what the parts are. A variant is one compiled
kernel. Everything that varies from call to call (sizes, directions, normalisation, layout) is an argument of it.
"""

from __future__ import annotations

from dataclasses import dataclass

LANES = 32
WARPS = 4  # of a block in which every warp has a line of its own
LONG_THREADS = {"Float": 1024, "Double": 512, "Half": 1024, "Bfloat": 1024}
PIXEL_THREADS = 256
PIXELS = 4  # of a thread in the kernels of cuda_merge.cu
MATCH_FEATURES, MATCH_CHANNELS = 4, 3  # what the kernel of cuda_match.cu is compiled for
RESERVED_BYTES = 1024  # of shared memory, which CUDA keeps for itself in every block
SEGMENT_BYTES = 64  # what a tile should read of a row at once: two sectors
OPERATIONS = ("FORWARD", "ADJOINT", "BACKWARD")
STORED_BYTES = {"Float": 4, "Double": 8, "Half": 2, "Bfloat": 2}
STATE_BYTES = 4  # of every storage type that these variants serve
IMAGES = {"FORWARD": 1, "ADJOINT": 1, "BACKWARD": 3}


@dataclass(frozen=True)
class Variant:
    """One compiled kernel of the scans. `rows` of a thread is 0 for the kernel of long lines."""

    storage: str
    operation: str
    rows: int = 0
    channels: int = 1  # carried side by side under one set of gates
    depth: int = 0  # steps that are loaded ahead
    one_warp: bool = False
    threads: int = 0  # at most

    @property
    def name(self) -> str:
        """The kernel's name."""
        form = "long" if not self.rows else f"{self.rows}x{self.channels}{'_warp' if self.one_warp else ''}"
        return f"{self.operation.lower()}_{self.storage.lower()}_{form}"

    @property
    def source(self) -> str:
        """The line that makes the kernel of the text in the .cu files."""
        if not self.rows:
            return f"LONG_KERNEL({self.name}, {self.storage}, {self.operation}, {self.threads})\n"
        one_warp = "true" if self.one_warp else "false"
        numbers = f"{self.rows}, {self.channels}, {self.depth}, {one_warp}, {self.threads}"
        return f"SCAN_KERNEL({self.name}, {self.storage}, {self.operation}, {numbers})\n"

    @property
    def longest(self) -> int:
        """Rows of the longest line it serves; 0: no limit."""
        return self.rows * (LANES if self.one_warp else self.threads)


def scan_variants(storage: str, operation: str) -> dict[str, Variant]:
    """The variants of an operation by their role.

    Rows and depths are what fits the registers without spilling on every architecture tested. Double is for
    verification alone and has the kernel of long lines for everything.
    """
    back = operation == "BACKWARD"
    found = {"long": Variant(storage, operation, threads=LONG_THREADS[storage])}
    if storage != "Double":
        found["warp"] = Variant(storage, operation, 4, 1, 2 if back else 4, True, WARPS * LANES)
        found["short"] = Variant(storage, operation, 1, 1, 4 if back else 8, False, 512)
        found["shared"] = Variant(storage, operation, 2, 4, 1, False, 512)
        found["wide"] = Variant(storage, operation, 4, 1, 2, False, 512)
    return found


def every_variant() -> list[Variant]:
    """All kernels of the scans."""
    return [v for s in STORED_BYTES for o in OPERATIONS for v in scan_variants(s, o).values()]


def pixel_kernels() -> list[tuple[str, str]]:
    """Name and source line of the kernels of cuda_merge.cu."""
    return [(f"{kind.lower()}_{storage.lower()}", pixel_source(kind, storage))
            for storage in STORED_BYTES for kind in ("MERGE", "SPLIT", "GATHER")]


def pixel_source(kind: str, storage: str) -> str:
    """The line that makes a kernel of the text in cuda_merge.cu."""
    return f"{kind}_KERNEL({kind.lower()}_{storage.lower()}, {storage}, {PIXEL_THREADS})\n"


def patch_kernels() -> list[tuple[str, str]]:
    """Name and source line of the kernels of cuda_patches.cu."""
    return [(f"{kind}_patches", patch_source(kind)) for kind in ("search", "mean")]


def patch_source(kind: str) -> str:
    """The line that makes a kernel of the text in cuda_patches.cu."""
    return f"{kind.upper()}_KERNEL({kind}_patches, {PIXEL_THREADS})\n"


def match_kernels() -> list[tuple[str, str]]:
    """Name and source line of the kernel of cuda_match.cu."""
    return [("match_pixels", f"MATCH_KERNEL(match_pixels, {PIXEL_THREADS}, {MATCH_FEATURES}, {MATCH_CHANNELS})\n")]


@dataclass(frozen=True)
class Size:
    """What a call asks for: sets of gates, channels that share one, rows, columns, directions and their kinds."""

    units: int
    channels: int
    height: int
    width: int
    ways: int
    horizontal: bool  # some direction is
    vertical: bool
    scanned: bool

    @property
    def length(self) -> int:
        """Rows of the longest line."""
        return max(self.height if self.horizontal else 1, self.width if self.vertical else 1)


@dataclass(frozen=True)
class Layout:
    """How one launch is laid out."""

    variant: Variant
    chunks: int  # parts that the channels of a unit are cut into
    blocks: int
    threads: int
    image_tiled: bool
    gates_tiled: bool
    tile_bits: int
    item_bytes: int
    shared_bytes: int
    state_values: int  # of the kernel of long lines


def lay_out(storage: str, operation: str, size: Size, processors: int, shared_limit: int) -> Layout:
    """Chooses the variant and the tiles for a call, on a device of so many processors and bytes of shared memory."""
    found = scan_variants(storage, operation)
    if storage == "Double" or size.length > found["wide"].longest:
        return _lay_out_long(found["long"], size)
    if size.length <= found["warp"].longest:
        return _lay_out(found["warp"], size, processors, shared_limit)
    # One block for several channels reads their gates once; one block each is faster while processors are idle.
    crowded = operation == "BACKWARD" or size.ways * size.units * size.channels > processors
    if size.channels > 1 and crowded and size.length <= found["shared"].longest:
        layout = _lay_out(found["shared"], size, processors, shared_limit)
        if layout.image_tiled or not size.horizontal:
            return layout  # else the tiles of one channel at a time may still find room
    single = found["short"] if size.length <= found["short"].longest else found["wide"]
    return _lay_out(single, size, processors, shared_limit)


def _lay_out_long(variant: Variant, size: Size) -> Layout:
    items = size.ways * size.units * size.channels
    kept = 1 if variant.operation == "FORWARD" else 3
    values = items * 2 * kept * max(size.height, size.width)
    threads = min(variant.threads, _whole_warps(size.length))
    return Layout(variant, size.channels, items, threads, False, False, 0, 0, 0, values)


def _lay_out(variant: Variant, size: Size, processors: int, shared_limit: int) -> Layout:
    chunks = -(-size.channels // variant.channels)
    items = size.ways * size.units * chunks
    threads = variant.threads if variant.one_warp else _whole_warps(-(-size.length // variant.rows))
    in_block = WARPS if variant.one_warp else 1
    limit = shared_limit // in_block
    if items > processors and not variant.one_warp:
        limit = (shared_limit - RESERVED_BYTES) // 2  # room for two blocks on a processor
    borders = 0 if variant.one_warp else 2 * (threads // LANES) * variant.channels * 2 * STATE_BYTES
    image_tiled, gates_tiled, tile_bits, tile_bytes = _tiles(variant, size, limit // 16 * 16 - borders)
    item_bytes = _round_up(borders + tile_bytes, 16)
    return Layout(variant, chunks, -(-items // in_block), threads, image_tiled, gates_tiled, tile_bits, item_bytes,
                  item_bytes * in_block, 0)


def _tiles(variant: Variant, size: Size, limit: int) -> tuple[bool, bool, int, int]:
    """Whether images and gates go through tiles, the tiles' columns (as a power of two) and their bytes.

    Without room for four columns, arrays are read across their rows as they lie: slow, but right.
    """
    if not size.horizontal:
        return False, False, 0, 0
    stored = STORED_BYTES[variant.storage]
    images = IMAGES[variant.operation] * min(variant.channels, size.channels)
    for image_tiled, gates_tiled in ((True, not size.scanned), (True, False)):
        planes = images * image_tiled + 3 * gates_tiled
        for bits in range((SEGMENT_BYTES // stored).bit_length() - 1, 1, -1):
            pitch = (1 << bits) + (2 if stored == 2 else 1)
            needed = 2 * planes * size.height * pitch * stored
            if needed <= limit:
                return image_tiled, gates_tiled, bits, needed
    return False, False, 0, 0


def _whole_warps(threads: int) -> int:
    return _round_up(max(threads, 1), LANES)


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
