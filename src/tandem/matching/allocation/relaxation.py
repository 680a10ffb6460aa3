"""The linear relaxation: prices of every constraint, and a bound that needs no trust in a solver.

Any prices λ ≥ 0 (packing) and 0 ≤ μ ≤ shortfall price (covering) bound every plan from above by
weak duality: limit·λ − floor·μ + Σ max(0, value − packᵀλ + coverᵀμ). The solver only finds prices
for which the bound is tight; that the bound is valid is worked out here, by that sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tandem.contracts.errors import MissingExtra, TandemError
from tandem.matching.allocation.problem import Allocation, Floats, Rows

Solver = Literal["pdlp", "highs"]


@dataclass(frozen=True)
class Prices:
    """What one more unit of each limit would be worth, and the bound that follows.

    packing: (rows,) λ; covering: (rows,) μ; gain: (E,) value of a pair after everything that it
    uses is paid for. bound: no plan is worth more. share: (E,) how much of each pair the relaxation
    takes, 0 to 1.
    """

    packing: Floats
    covering: Floats
    gain: Floats
    bound: float
    share: Floats


def price(a: Allocation, r: Rows, solver: Solver, seconds: float, tolerance: float) -> Prices:
    """Prices of the linear relaxation by `solver`: "pdlp" (OR-Tools, first-order, for millions of
    pairs; needs the extra `allocation`) or "highs" (SciPy, simplex or interior point).

    seconds: limit for pdlp. tolerance: relative, of pdlp; looser prices give a valid, wider bound.
    """
    if not len(a.value):
        return bounded(a, r, np.zeros(len(r.limit)), np.zeros(len(r.floor)), np.zeros(0))
    # Values near 1: solvers measure their tolerances against that.
    scale = float(np.abs(a.value).mean()) or 1.0
    solve = _pdlp if solver == "pdlp" else _highs
    share, packing, covering = solve(a, r, scale, seconds, tolerance)
    return bounded(a, r, packing * scale, covering * scale, share)


def bounded(a: Allocation, r: Rows, packing: Floats, covering: Floats, share: Floats) -> Prices:
    """Prices made admissible, and their bound."""
    packing = np.maximum(np.nan_to_num(packing), 0.0)
    covering = np.clip(np.nan_to_num(covering), 0.0, a.shortfall_price)
    gain = a.value - r.pack.T @ packing + r.cover.T @ covering
    bound = r.limit @ packing - r.floor @ covering + np.maximum(gain, 0).sum()
    return Prices(packing, covering, gain, float(bound), np.clip(share, 0.0, 1.0))


def _pdlp(
    a: Allocation, r: Rows, scale: float, seconds: float, tolerance: float
) -> tuple[Floats, Floats, Floats]:
    try:
        from ortools.pdlp import solve_log_pb2, solvers_pb2
        from ortools.pdlp.python import pdlp
    except ImportError:
        raise MissingExtra(
            "large allocations need OR-Tools",
            remedy="pip install 'tandem-commerce[allocation]', or choose the solver 'highs'",
        ) from None
    from scipy.sparse import csc_array, eye_array, hstack, vstack

    pairs, floors = len(a.value), len(r.floor)
    matrix = vstack(
        [
            hstack([r.pack, csc_array((len(r.limit), floors))]),
            hstack([r.cover, eye_array(floors)]),
        ],
        format="csc",
    )
    program = pdlp.QuadraticProgram()
    program.resize_and_initialize(pairs + floors, matrix.shape[0])
    program.objective_vector = np.r_[-a.value / scale, np.full(floors, a.shortfall_price / scale)]
    program.constraint_matrix = matrix
    program.constraint_lower_bounds = np.r_[np.full(len(r.limit), -np.inf), r.floor]
    program.constraint_upper_bounds = np.r_[r.limit, np.full(floors, np.inf)]
    program.variable_lower_bounds = np.zeros(pairs + floors)
    program.variable_upper_bounds = np.r_[np.ones(pairs), np.full(floors, np.inf)]
    parameters = solvers_pb2.PrimalDualHybridGradientParams()
    criteria = parameters.termination_criteria
    criteria.simple_optimality_criteria.eps_optimal_relative = tolerance
    criteria.simple_optimality_criteria.eps_optimal_absolute = tolerance
    criteria.time_sec_limit = seconds
    parameters.num_threads = 1
    result = pdlp.primal_dual_hybrid_gradient(program, parameters)
    reason = result.solve_log.termination_reason
    if reason not in (
        solve_log_pb2.TERMINATION_REASON_OPTIMAL,
        solve_log_pb2.TERMINATION_REASON_TIME_LIMIT,
        solve_log_pb2.TERMINATION_REASON_ITERATION_LIMIT,
    ):
        name = solve_log_pb2.TerminationReason.Name(reason)
        raise TandemError(f"the solver ended with {name}", remedy="try the solver 'highs'")
    duals = np.asarray(result.dual_solution)
    share = np.asarray(result.primal_solution)[:pairs]
    return share, -duals[: len(r.limit)], duals[len(r.limit) :]


def _highs(
    a: Allocation, r: Rows, scale: float, seconds: float, tolerance: float
) -> tuple[Floats, Floats, Floats]:
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, eye_array, hstack, vstack

    floors = len(r.floor)
    result = linprog(
        np.r_[-a.value / scale, np.full(floors, a.shortfall_price / scale)],
        A_ub=vstack(
            [
                hstack([r.pack, csr_array((len(r.limit), floors))]),
                hstack([-r.cover, -eye_array(floors)]),
            ],
            format="csr",
        ),
        b_ub=np.r_[r.limit, -r.floor],
        bounds=np.c_[
            np.zeros(len(a.value) + floors),
            np.r_[np.ones(len(a.value)), np.full(floors, np.inf)],
        ],
        method="highs",
    )
    if result.status != 0:
        raise TandemError(f"the solver ended with: {result.message}", remedy="check the limits")
    duals = -np.asarray(result.ineqlin.marginals)
    return result.x[: len(a.value)], duals[: len(r.limit)], duals[len(r.limit) :]
