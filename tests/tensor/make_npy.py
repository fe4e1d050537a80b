"""Writes the .npy files of test_npy.c with NumPy: python make_npy.py (in this folder)."""
import numpy as np

grid = np.arange(6).reshape(2, 3) - 2

for name in ("float16", "float32", "float64", "int8", "int16", "int32", "int64"):
    np.save(f"data/{name}.npy", grid.astype(name))
for name in ("uint8", "uint16", "uint32"):
    np.save(f"data/{name}.npy", (grid + 2).astype(name))
np.save("data/big_endian.npy", grid.astype(">f4"))
np.save("data/fortran.npy", np.asfortranarray(grid.astype("float32")))
np.save("data/bool.npy", grid % 2 == 0)
np.save("data/scalar.npy", np.float64(2.5))
np.save("data/empty.npy", np.zeros((0, 3), "float32"))
np.save("data/bytes.npy", np.array([b"one", b"", b"three"]))
np.save("data/text.npy", np.array(["one", "", "\u00fcn\u00ef\U0001f600"]))
