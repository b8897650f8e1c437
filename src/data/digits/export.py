"""Writes images.idx and labels.idx from the copy of the handwritten digits that scikit-learn carries.

    python export.py
"""

import pathlib
import struct

from sklearn.datasets import load_digits

digits = load_digits()
here = pathlib.Path(__file__).parent
images = digits.images.astype("u1")
labels = digits.target.astype("u1")
assert images.shape == (1797, 8, 8) and images.max() == 16 and labels.max() == 9
(here / "images.idx").write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape) + images.tobytes())
(here / "labels.idx").write_bytes(bytes([0, 0, 8, 1]) + struct.pack(">I", *labels.shape) + labels.tobytes())
