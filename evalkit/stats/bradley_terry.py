"""Ranking from pairwise choices: the Bradley-Terry model, with errors that know of clusters."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components

from evalkit.stats.units import Array

_Z = 1.959963984540054
_STEPS = 200
_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Strength:
    """A player's ability in nats of log-odds, relative to the mean of all players.

    Attributes:
        ability: Its difference to another's is the log-odds of winning; None where the votes do
            not settle it: some group of players never lost, or never won, against the rest.
        ci_low: Lower end of the 95 % interval; None where it is undefined.
        ci_high: Upper end of it.
    """

    ability: float | None
    ci_low: float | None = None
    ci_high: float | None = None


def bradley_terry(
    games: Sequence[tuple[Hashable, Hashable, float]],
    clusters: Sequence[Hashable] | None = None,
) -> dict[Hashable, Strength]:
    """Abilities by maximum likelihood, strongest first; a tie counts as half a win for each.

    Intervals are normal, from the sandwich estimator: votes of one cluster (such as all votes on a
    document) count as dependent.

    Args:
        games: First player, second player, and the first one's share of the win: 1, 0.5 or 0.
        clusters: One a game; games are independent by default.

    Source: Bradley and Terry 1952; existence after Ford 1957; ties as by Agresti, "Categorical data
    analysis", section 11.6; Liang and Zeger 1986 for the errors.
    """
    players = list(dict.fromkeys(player for game in games for player in game[:2]))
    place = {player: i for i, player in enumerate(players)}
    k = len(players)
    design = np.zeros((len(games), k))
    for row, (first, second, _) in enumerate(games):
        design[row, place[first]] += 1
        design[row, place[second]] -= 1
    won = np.array([share for _, _, share in games], dtype=float)
    if not _settled(design, won):
        return {player: Strength(None) for player in players}
    ability = _fit(design, won)
    stderr = _errors(design, won, ability, clusters)
    order = np.argsort(-ability, kind="stable")
    return {
        players[i]: Strength(
            float(ability[i]),
            *((None, None) if stderr is None else
              (float(ability[i] - _Z * stderr[i]), float(ability[i] + _Z * stderr[i]))),
        )
        for i in order
    }  # fmt: skip


def _settled(design: Array, won: Array) -> bool:
    """Whether every player can be reached from every other by wins: else no maximum exists."""
    k = design.shape[1]
    beat = np.zeros((k, k))
    for row, share in zip(design, won, strict=True):
        first, second = int(np.argmax(row)), int(np.argmin(row))
        beat[first, second] += share
        beat[second, first] += 1 - share
    if not k:
        return False
    return bool(connected_components(beat > 0, connection="strong")[0] == 1)


def _fit(design: Array, won: Array) -> Array:
    """Newton's method on the concave log-likelihood, abilities centred on 0."""
    ability = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chance = _chance(design @ ability)
        gradient = design.T @ (won - chance)
        step = _inverse_information(design, chance) @ gradient
        # A long step can overshoot where the chances saturate.
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        ability = ability + step
        if float(np.abs(step).max()) < _TOLERANCE:
            break
    return np.asarray(ability - ability.mean())


def _errors(
    design: Array, won: Array, ability: Array, clusters: Sequence[Hashable] | None
) -> Array | None:
    """Standard errors; None where clusters are too few or too equal to tell."""
    chance = _chance(design @ ability)
    bread = _inverse_information(design, chance)
    scores = design * (won - chance)[:, None]
    names = range(len(design)) if clusters is None else clusters
    codes: dict[Hashable, int] = {}
    rows = np.array([codes.setdefault(name, len(codes)) for name in names])
    if len(codes) < 2:
        return None
    sums = np.zeros((len(codes), design.shape[1]))
    np.add.at(sums, rows, scores)
    meat = sums.T @ sums * len(codes) / (len(codes) - 1)
    variance = np.diag(bread @ meat @ bread)
    # Clusters that all say the same tell nothing of how much they would vary.
    return np.sqrt(variance) if (variance > _TOLERANCE).all() else None


def _inverse_information(design: Array, chance: Array) -> Array:
    """Pseudo-inverse: abilities are known but for their mean, which the mean matrix stands for."""
    information = (design * (chance * (1 - chance))[:, None]).T @ design
    mean = np.full_like(information, 1 / len(information))
    return np.asarray(np.linalg.inv(information + mean) - mean)


def _chance(odds: Array) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(odds / 2))
