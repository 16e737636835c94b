#!/usr/bin/env python3
"""Prints the polynomial q of normal_tail() in kernels/simd/math.hpp: Phi(-x) = e^(-x^2/2) t q(t), t = 1 / (1 + x/4), for 0 <= x <= 13.5.

    python3 tests/reference/normal_tail.py          (Debian: python3-mpmath)

Minimax in the relative error, by Remez's exchange: solve for equal and alternating errors at n + 2 places, move these to the largest
errors, again. Highest power first, rounded to float32 by the compiler.
"""
import mpmath as mp

DEGREE, SLOPE, LARGEST, STEPS, GRID = 9, mp.mpf("0.25"), mp.mpf("13.5"), 8, 400


def exact(t):
    x = (1 / t - 1) / SLOPE
    return mp.erfc(x / mp.sqrt(2)) * mp.exp(x * x / 2) / 2 / t


def solve(places):
    size = len(places)
    rows, ones = mp.matrix(size, size), mp.matrix(size, 1)
    for i, t in enumerate(places):
        for j in range(size - 1):
            rows[i, j] = t**j / exact(t)
        rows[i, size - 1] = (-1) ** i
        ones[i] = 1
    return list(mp.lu_solve(rows, ones))[:-1]


def extremes(grid, errors, wanted):
    """Places of the largest error between two changes of sign; the outer ones go first when there are too many."""
    best = []
    for k, e in enumerate(errors):
        if best and errors[best[-1]] * e > 0:
            if abs(e) > abs(errors[best[-1]]):
                best[-1] = k
        else:
            best.append(k)
    while len(best) > wanted:
        best.pop(0 if abs(errors[best[0]]) < abs(errors[best[-1]]) else -1)
    return [grid[k] for k in best]


def main():
    mp.mp.dps = 30
    low, high = 1 / (1 + SLOPE * LARGEST), mp.mpf(1)
    chebyshev = lambda n: [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * k / n) for k in range(n + 1)]
    places, grid = chebyshev(DEGREE + 1), chebyshev(GRID)
    for _ in range(STEPS):
        c = solve(places)
        errors = [sum(a * t**j for j, a in enumerate(c)) / exact(t) - 1 for t in grid]
        places = extremes(grid, errors, DEGREE + 2)
    print(", ".join(f"{float(a):.9e}f" for a in reversed(c)))
    print("largest relative error", mp.nstr(max(map(abs, errors)), 3))


if __name__ == "__main__":
    main()
