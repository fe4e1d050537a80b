"""Cases of the layers on sound."""

from registry import add, case, error
from tensors import ints, x

SMALL = dict(fft_length=64, sequence_stride=20, num_mel_bins=8, sampling_rate=2000)


def mel(name, sound, dtype=None, rtol=None, shapes=True, **args):
    return case(name, dict(SMALL, **args), sound, grad=False, dtype=dtype, rtol=rtol,
                shapes=shapes)


# Where Keras's symbolic shape isn't that of its own output.
ODD = dict(shapes=False)


add(
    "MelSpectrogram",
    mel("small", x(2, 200)),
    mel("unbatched", x(200)),
    mel("rank_3", x(2, 3, 150), **ODD),
    mel("hamming", x(2, 200), window="hamming"),
    mel("no_window", x(2, 200), window=None),
    mel("shorter_window", x(2, 200), sequence_length=40),
    mel("odd_window", x(2, 200), sequence_length=33),
    mel("power", x(2, 200), power_to_db=False),
    mel("magnitude", x(2, 200), power_to_db=False, mag_exp=1.0),
    mel("cube_root", x(2, 200), power_to_db=False, mag_exp=0.3333),
    mel("cube", x(2, 200), mag_exp=3.0),
    mel("top_db", x(2, 200), top_db=5.0),
    mel("reference", x(2, 200), ref_power=0.01, min_power=1e-3),
    mel("negative_reference", x(2, 200), ref_power=-2.0),
    mel("band", x(2, 200), min_freq=100.0, max_freq=700.0),
    mel("beyond_nyquist", x(2, 200), max_freq=1500.0),
    mel("many_bands", x(1, 200), num_mel_bins=40),
    mel("one_band", x(1, 200), num_mel_bins=1),
    mel("from_zero", x(1, 200), min_freq=0.0),
    mel("length_60", x(2, 200), fft_length=60),
    mel("length_63", x(2, 200), fft_length=63, **ODD),
    mel("length_62", x(2, 200), fft_length=62),
    mel("length_97", x(2, 300), fft_length=97, **ODD),
    mel("length_128", x(2, 300), fft_length=128),
    mel("length_512", x(1, 1000), fft_length=512, sequence_stride=100),
    mel("stride_beyond_length", x(1, 600), sequence_stride=100),
    mel("stride_1", x(1, 40), sequence_stride=1, **ODD),
    mel("many_frames", x(1, 900), sequence_stride=7, num_mel_bins=3),
    mel("just_long_enough", x(1, 33)),
    mel("silence", ints(1, 200, low=0, high=1, dtype="float32")),
    mel("integers", ints(1, 200, low=-99, high=99)),
    mel("float64", x(2, 200), dtype="float64", rtol=1e-5, power_to_db=False),
    case("defaults", {}, x(1, 4000), grad=False),
    error("window_too_long", SMALL, x(1, 200), override={"sequence_length": 65}),
    error("window_unknown", SMALL, x(1, 200), override={"window": "blackman"}),
    error("too_short", SMALL, x(1, 32)),
)

STFT = dict(frame_length=16)
add(
    "STFTSpectrogram",
    *[case(mode, dict(STFT, mode=mode), x(2, 40, 1)) for mode in
      ("log", "magnitude", "psd", "real", "imag", "stft")],
    case("angle", dict(STFT, mode="angle"), x(2, 40, 1)),
    case("defaults", {}, x(1, 600, 1), grad=False),
    case("channels", dict(STFT), x(2, 40, 3)),
    case("channels_expand", dict(STFT, expand_dims=True), x(2, 40, 3)),
    case("same", dict(STFT, padding="same", frame_step=5), x(2, 41, 1)),
    case("fft_32", dict(STFT, fft_length=32, mode="psd"), x(2, 40, 2)),
    case("length_12", dict(frame_length=12, frame_step=4), x(2, 40, 1)),
    case("spectrum", dict(STFT, scaling="spectrum", mode="magnitude"), x(2, 40, 1)),
    case("unscaled", dict(STFT, scaling=None, mode="magnitude"), x(2, 40, 1)),
    case("no_window", dict(STFT, window=None, mode="real"), x(2, 40, 1)),
    case("periodic", dict(STFT, periodic=True, mode="imag"), x(2, 40, 1)),
    case("hamming", dict(STFT, window="hamming", mode="magnitude"), x(2, 40, 1)),
    case("float64", dict(STFT), x(2, 40, 1), dtype="float64"),
    case("unknown_dims", dict(STFT), x(2, 40, 1), unknown=[[0, 1]]),
    error("step", STFT, x(2, 40, 1), override={"frame_step": 17}),
    error("step_0", STFT, x(2, 40, 1), override={"frame_step": 0}),
    error("fft", STFT, x(2, 40, 1), override={"fft_length": 8}),
    error("mode", STFT, x(2, 40, 1), override={"mode": "phase"}),
    error("scaling", STFT, x(2, 40, 1), override={"scaling": "both"}),
    error("padding", STFT, x(2, 40, 1), override={"padding": "causal"}),
    error("window", STFT, x(2, 40, 1), override={"window": "nothing"}),
    error("rank_2", STFT, x(2, 40)),
    error("integers", STFT, ints(2, 40, 1)),
)
