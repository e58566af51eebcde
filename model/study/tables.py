"""The tables of the report and the sentences beside them, in no form yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..report.content import Table
from .evaluation import Standing
from .measures import DB_PER_UNIT
from .published import QUARTILE_RANGE, SINGLE, TABLE


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:,.{digits}f}".replace(",", " ")


def study_table(standings: Sequence[Standing], results: dict[str, Any]) -> Table:
    """The study's table beside its own figures."""
    rows = []
    for standing in standings:
        chunks, its = standing.chunks, TABLE.get(standing.name)
        if chunks is None:
            continue
        published = (_number(its.mse, 0), _number(its.snr_unit, 2), _number(its.nrmse, 4)) if its else ("–", "–", "–")
        rows.append(
            (
                standing.name,
                *published,
                _number(chunks.mse, 0),
                _number(chunks.snr_unit, 2),
                _number(chunks.snr_db, 2),
                _number(chunks.nrmse, 4),
                f"{standing.parameters / 1e6:.2f} M" if standing.parameters else "–",
                str(standing.steps or "–"),
                f"{standing.minutes:.1f}" if standing.steps else "–",
            )
        )
    note = (
        f"on {results['scored']['chunks']} chunks of the test side, means over batches of {results['batch']}. MSE in "
        "steps of 16 bit squared; SNR in the study's unit, 10 · ln of the ratio of root mean squares, and in true dB; "
        "NRMSE over the inter-quartile range of all samples"
    )
    head = ("network", "its MSE", "its SNR", "its NRMSE", "MSE", "SNR", "SNR dB", "NRMSE", "size", "steps", "minutes")
    return Table("The study's table", note, head, tuple(rows), 1)


def baseline_table(standings: Sequence[Standing]) -> Table:
    """Batches of one, as the study compared interpolations."""
    rows = []
    for standing in standings:
        if standing.single is None or not (standing.name in SINGLE or not standing.steps):
            continue
        its = SINGLE.get(standing.name, math.nan)
        rows.append(
            (
                standing.name,
                _number(its, 2),
                _number(its * DB_PER_UNIT, 2),
                _number(standing.single.snr_unit, 2),
                _number(standing.single.snr_db, 2),
                _number(standing.single.pooled_snr_db, 2),
            )
        )
    note = (
        "means over batches of one chunk, where every chunk counts alike however soft it is; the last column is over "
        "all samples at once, where the loud ones count"
    )
    head = ("system", "its SNR", "in dB", "SNR", "in dB", "over all samples, dB")
    return Table("Interpolations", note, head, tuple(rows), 1)


def recording_table(standings: Sequence[Standing], results: dict[str, Any]) -> Table:
    """Whole recordings of other talkers, by the measures that others use."""
    names = ("snr_db", "si_sdr_db", "low_snr_db", "lsd", "lsd_low", "lsd_high", "visqol")
    digits = (1, 1, 1, 2, 2, 2, 2)
    rows = [
        (standing.name, *(_number(standing.mean(name), places) for name, places in zip(names, digits, strict=True)))
        for standing in standings
    ]
    scored = results["scored"]
    note = (
        f"means over {scored['clips']} recordings of talkers that no network has heard, made as the study made them, "
        f"from isolated chunks; ViSQOL over {scored['heard']} of them. SNR and SI-SDR in dB, higher is better; LSD "
        "over all bands, below (LF) and above (HF) the input's end, lower is better; low SNR: below 0.9 of that end. "
        "The last rows are models of the host, which stream"
    )
    head = ("system", "SNR", "SI-SDR", "low SNR", "LSD", "LSD-LF", "LSD-HF", "ViSQOL")
    return Table("Whole recordings", note, head, tuple(rows), 1)


def ablation_table(results: dict[str, Any]) -> Table:
    """What each skip and the added input are worth."""
    whole = results["ablation"][""]
    rows = tuple(
        (part, _number(value, 2), _number(value - whole, 2), _number((value - whole) * DB_PER_UNIT, 2))
        for part, value in results["ablation"].items()
        if part
    )
    note = (
        f"{results['best']}, whole: {whole:.2f} of the study's unit. Each skip (1 joins at half the input's rate, the "
        "last at the bottleneck) and the added input set to zero in turn, nothing trained anew"
    )
    return Table("Ablation", note, ("left out", "SNR", "change", "change, dB"), rows, 1)


def leak_table(results: dict[str, Any]) -> Table:
    """Three ways to split."""
    rows = tuple(
        (
            leak["split"],
            f"{leak['speaker']:.1%}",
            f"{leak['recording']:.1%}",
            f"{leak['samples']:.1%}",
            _number(leak["spline_db"], 2),
            _number(leak["lookup_db"], 2),
        )
        for leak in results["leaks"]
    )
    note = (
        "share of test chunks whose talker, recording and very samples are in the training side too. spline: SNR over "
        "all samples, dB; look-up: the same once everything that a training chunk holds has been copied from there. "
        "chunk: the list of chunks cut in two places, as the study did; shuffled: chunks dealt out at random"
    )
    head = ("split", "talker", "recording", "samples", "spline", "look-up")
    return Table("Leakage", note, head, rows, 1)


def border_table(standings: Sequence[Standing]) -> Table:
    """Isolated chunks against one piece."""
    rows = tuple(
        (
            standing.name,
            *(
                _number(standing.mean(name), 1)
                for name in (
                    "border_error_db",
                    "whole_border_error_db",
                    "border_step_db",
                    "whole_border_step_db",
                    "snr_db",
                    "whole_snr_db",
                )
            ),
        )
        for standing in standings
        if standing.chunks is not None
    )
    note = (
        "recordings made from isolated chunks (first column of each pair) and in one piece. Error: its power within 32 "
        "samples of a border over that elsewhere, dB. Step: power of the second difference across a border over that "
        "elsewhere, dB; a click reads high. SNR in dB"
    )
    head = ("system", "error", "in one piece", "step", "in one piece", "SNR", "in one piece")
    return Table("Borders of chunks", note, head, rows, 1)


def loudness_table(results: dict[str, Any]) -> Table:
    """Where an interpolation's mean comes from."""
    found = results["provenance"]
    rows = tuple((name, *(_number(value, 2) for value in thirds)) for name, thirds in found["thirds"].items())
    note = (
        f"SNR in the study's unit, batches of one, by how loud a chunk is. Inter-quartile range here "
        f"{found['quartile_range']:.0f} steps of 16 bit, the study's {QUARTILE_RANGE:.0f}; root mean square "
        f"{found['rms']:.0f}"
    )
    return Table("Soft and loud chunks", note, ("system", "softest third", "middle", "loudest third"), rows, 1)


def corpus_table(results: dict[str, Any]) -> Table:
    """Recording chains."""
    rows = tuple(
        (
            one["corpus"],
            str(one["recordings"]),
            f"{one['share_above']:.2%}",
            _number(one["quartile_range"], 0),
            *(_number(one[how], 2) for how in ("linear", "off_centre", "spline", "sinc")),
        )
        for one in results["corpora"]
    )
    note = (
        "SNR of the interpolations in the study's unit, batches of one, by the recordings they are of, and the share "
        f"of power above the input's end. The study's data was VCTK, pauses and all: quartiles {QUARTILE_RANGE:.0f} "
        "apart, linear 19.67, spline 26.80. Off-centre is linear and late by half of the samples that replace one less "
        "a half, as resizers of pictures have it"
    )
    head = ("corpus", "recordings", "above", "quartiles", "linear", "off-centre", "spline", "sinc")
    return Table("By corpus", note, head, rows, 1)


def cost_table(results: dict[str, Any]) -> Table:
    """The causal networks beside the host's own."""
    rows = tuple(
        (
            cost["name"],
            f"{cost['hop_ms']:.2f}",
            f"{cost['latency_ms']:.1f}",
            f"{cost['hop_ms_p50']:.2f}",
            f"{cost['hop_cpu_ms']:.2f}",
            f"{cost['rtf']:.2f}",
            "yes" if cost["rtf"] < 0.5 else "NO",
            f"{cost['file_kb']:.0f}",
        )
        for cost in results["costs"]
    )
    note = (
        "one hop on one thread of this machine: p50 by the clock, as busy as it was, and the processor's own time, by "
        "which RTF is. Live use needs room beside it: an RTF of more than 0.5 is not called live"
    )
    head = ("model", "hop ms", "latency ms", "p50 ms", "processor ms", "RTF", "live", "kB")
    return Table("In the stream", note, head, rows, 1)


def in_short(standings: Sequence[Standing], results: dict[str, Any]) -> list[tuple[str, str]]:
    """What the figures say: a heading and sentences that hold for these figures alone."""
    by_name = {standing.name: standing for standing in standings}
    rivalry = results["rivalry"]
    snr, lsd, best = (by_name[name] for name in (rivalry["best_snr"], rivalry["best_lsd"], results["best"]))
    return [*_lessons(snr, lsd, best, by_name["spline"], results), *_worth(best, results), *_origin(results)]


def _worth(best: Standing, results: dict[str, Any]) -> list[tuple[str, str]]:
    """What the U of the U-Net is worth so far."""
    whole = results["ablation"][""]
    skips = {part: value - whole for part, value in results["ablation"].items() if part.startswith("skip")}
    if not skips:
        return []
    part = max(skips, key=lambda one: abs(skips[one]))
    text = (
        f"In {best.name} after {best.steps} steps no skip is worth more than {abs(skips[part]):.2f} of the study's "
        f"units ({part})"
    )
    if abs(skips[part]) < 0.05:
        text += (
            ": it is its last blocks on the added input so far. What comes up through the U has passed batch norm and "
            "is of the order of one; what it is added to is 16-bit integers, thousands"
        )
    return [("What the skips are worth", f"{text}.")]


def _origin(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Where the study's baselines come from, where its data is at hand."""
    vctk = next((one for one in results["corpora"] if one["corpus"] == "vctk"), None)
    if vctk is None:
        return []
    text = (
        f"On {vctk['recordings']} recordings of VCTK, without their pauses, the spline has {vctk['spline']:.2f} of the "
        f"study's units (there {SINGLE['spline']:.2f}) and a linear interpolation {vctk['linear']:.2f} (there "
        f"{SINGLE['linear']:.2f}). A linear one that is off centre has {vctk['off_centre']:.2f}: it and the spline are "
        f"then {vctk['off_centre'] - SINGLE['linear']:.2f} and {vctk['spline'] - SINGLE['spline']:.2f} above the "
        "study's figures."
    )
    return [("Where its baselines come from", text)]


def _lessons(
    snr: Standing, lsd: Standing, best: Standing, spline: Standing, results: dict[str, Any]
) -> list[tuple[str, str]]:
    alias, rivalry = results["aliasing"], results["rivalry"]
    leaks = {leak["split"]: leak for leak in results["leaks"]}
    rate_khz = 24.0 / results["pairs"]["factor"]
    disagree = "the two do not agree on what is good" if snr.name != lsd.name else "the two agree here on what is best"
    return [
        (
            "Aliasing in the input",
            f"{alias['share_above']:.2%} of the power lies above {rate_khz:g} kHz. Taking samples without a filter "
            f"folds it over what the input keeps: the SNR below 0.9 of that end is {alias['folded_low_snr_db']:.1f} "
            f"dB, and {alias['filtered_low_snr_db']:.1f} dB with a filter. What is lost and its image bound the whole "
            f"SNR to {alias['bound_db']:.1f} dB for an ideal interpolation; sinc has {alias['folded_snr_db']:.1f} dB, "
            f"and {alias['filtered_snr_db']:.1f} dB on a filtered input.",
        ),
        (
            "Leakage between splits",
            f"Cut by chunk, {leaks['chunk']['speaker']:.1%} of the test chunks are of talkers that training knows; "
            f"dealt out at random, {leaks['shuffled']['samples']:.1%} share their very samples with it, and memory "
            f"alone takes the spline from {leaks['shuffled']['spline_db']:.1f} to "
            f"{leaks['shuffled']['lookup_db']:.1f} dB. By talker it is {leaks['speaker']['samples']:.1%}, and memory "
            f"gains {leaks['speaker']['lookup_db'] - leaks['speaker']['spline_db']:.1f} dB.",
        ),
        (
            "SNR against LSD",
            f"Best by SNR is {snr.name} ({snr.mean('snr_db'):.1f} dB, LSD {snr.mean('lsd'):.2f}); best by LSD is "
            f"{lsd.name} (LSD {lsd.mean('lsd'):.2f}, {lsd.mean('snr_db'):.1f} dB): {disagree}. Over all systems the "
            f"rank correlation of SNR and −LSD is {rivalry['rank_correlation']:.2f}.",
        ),
        (
            "Isolated chunks",
            f"{best.name} from isolated chunks: its error at the borders is {best.mean('border_error_db'):.1f} dB over "
            f"that elsewhere, {best.mean('whole_border_error_db'):.1f} dB in one piece; the step across a border is "
            f"{best.mean('border_step_db'):.1f} dB over others, {best.mean('whole_border_step_db'):.1f} dB in one "
            f"piece. The spline, whose chunks end in a guess: {spline.mean('border_step_db'):.1f} dB, and "
            f"{spline.mean('whole_border_step_db'):.1f} dB in one piece.",
        ),
    ]
