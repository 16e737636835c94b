// Linear algebra for a handful of unknowns: symmetric matrices of at most kMaxParameters rows, row-major.
#pragma once
#include <array>
#include <vector>

namespace loglog::fit {

// A smoothly broken law with two breaks has nine, more than most sweeps can tell apart.
inline constexpr int kMaxParameters = 9;
using Vector = std::array<double, kMaxParameters>;
using Matrix =
    std::array<double, kMaxParameters * kMaxParameters>;  // element (i, j) at i * kMaxParameters + j

inline double& at(Matrix& m, int i, int j) {
  return m[static_cast<std::size_t>(i * kMaxParameters + j)];
}
inline double at(const Matrix& m, int i, int j) {
  return m[static_cast<std::size_t>(i * kMaxParameters + j)];
}

// Solves a x = b by Cholesky for the leading n rows. False when a is not positive definite.
bool solve_positive(Matrix a, Vector b, int n, Vector& x);

// Eigenvalues of a symmetric matrix, ascending, by cyclic Jacobi rotations.
std::vector<double> eigenvalues(Matrix a, int n);

}  // namespace loglog::fit
