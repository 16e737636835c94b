#include "fit/solve.hpp"

#include <ceres/ceres.h>
#include <nlopt.h>

#include <cmath>
#include <memory>

#include "fit/dense.hpp"
#include "fit/synthetic.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using namespace loglog::testing;

namespace {

struct Problem {
  Points points;
  std::vector<double> weights;
  Huber huber;
};

Problem noisy(double noise, double delta, const std::string& law) {
  const Runs runs = lab_sweep(noise, 21);
  return {Points(*find_law(law), runs.columns, runs.loss), runs.weight, {delta}};
}

double nlopt_objective(unsigned n, const double* x, double* gradient, void* data) {
  const auto& p = *static_cast<Problem*>(data);
  Vector theta{};
  std::copy(x, x + n, theta.begin());
  const Expansion e = expand(p.points, p.weights, p.huber, theta);
  if (gradient != nullptr) std::copy(e.gradient.begin(), e.gradient.begin() + n, gradient);
  return e.value * 1e3;
}

double nlopt_objective_scaled(unsigned n, const double* x, double* gradient, void* data) {
  const double value = nlopt_objective(n, x, gradient, data);
  if (gradient != nullptr) {
    for (unsigned i = 0; i < n; ++i) gradient[i] *= 1e3;
  }
  return value;
}

double best_by_nlopt(Problem& p) {
  const auto n = static_cast<unsigned>(p.points.law().parameter_count());
  double best = INFINITY;
  for (const Vector& start : best_starts(p.points, p.weights, p.huber, 8)) {
    nlopt_opt solver = nlopt_create(NLOPT_LD_SLSQP, n);
    nlopt_set_min_objective(solver, nlopt_objective_scaled, &p);
    nlopt_set_xtol_rel(solver, 1e-13);
    nlopt_set_maxeval(solver, 3000);
    Vector theta = start;
    double value = INFINITY;
    nlopt_optimize(solver, theta.data(), &value);
    nlopt_destroy(solver);
    best = std::min(best, value / 1e3);
  }
  return best;
}

class CeresObjective final : public ceres::FirstOrderFunction {
 public:
  explicit CeresObjective(const Problem& p) : problem_(p) {}
  int NumParameters() const override { return problem_.points.law().parameter_count(); }
  bool Evaluate(const double* x, double* cost, double* gradient) const override {
    Vector theta{};
    std::copy(x, x + NumParameters(), theta.begin());
    const Expansion e = expand(problem_.points, problem_.weights, problem_.huber, theta);
    *cost = e.value * 1e3;
    for (int i = 0; gradient != nullptr && i < NumParameters(); ++i)
      gradient[i] = 1e3 * e.gradient[static_cast<std::size_t>(i)];
    return true;
  }

 private:
  const Problem& problem_;
};

double best_by_ceres(const Problem& p) {
  double best = INFINITY;
  ceres::GradientProblem problem(new CeresObjective(p));
  ceres::GradientProblemSolver::Options options;
  options.line_search_direction_type = ceres::BFGS;
  options.max_num_iterations = 2000;
  options.function_tolerance = 1e-15;
  options.gradient_tolerance = 1e-12;
  options.parameter_tolerance = 1e-14;
  options.logging_type = ceres::SILENT;
  for (const Vector& start : best_starts(p.points, p.weights, p.huber, 8)) {
    Vector theta = start;
    ceres::GradientProblemSolver::Summary summary;
    ceres::Solve(options, problem, theta.data(), &summary);
    best = std::min(best, summary.final_cost / 1e3);
  }
  return best;
}

}  // namespace

TEST_CASE("two independent solvers find no lower objective and the same one to 1e-6") {
  for (const char* law : {"chinchilla", "chinchilla-tied", "kaplan"}) {
    for (const double delta : {1e-3, 1e-2, 1.0}) {
      INFO(law << " delta " << delta);
      Problem p = noisy(0.01, delta, law);
      const Solution ours = solve(p.points, p.weights, p.huber);
      REQUIRE(ours.certificate.converged);
      const double nlopt = best_by_nlopt(p);
      const double ceres = best_by_ceres(p);
      REQUIRE(ours.value <= nlopt * (1 + 1e-9));
      REQUIRE(ours.value <= ceres * (1 + 1e-9));
      REQUIRE(std::min(nlopt, ceres) <= ours.value * (1 + 1e-6));
    }
  }
}

TEST_CASE("the certificate tells a minimum from a point beside it") {
  const Problem p = noisy(0.01, 1e-2, "chinchilla");
  const Solution best = solve(p.points, p.weights, p.huber);
  REQUIRE(best.certificate.agreeing >= 2);
  REQUIRE(best.certificate.min_eigenvalue > 0);
  REQUIRE(best.certificate.moved > 0);
  Bounds wall = p.points.law().form->bounds(p.points);  // a box that ends before the minimum
  wall.low[3] = best.theta[3] + 0.05;
  const Descent stopped = descend(p.points, p.weights, p.huber, wall, best.theta);
  REQUIRE(stopped.at_bounds == std::vector<int>{3});
  REQUIRE(stopped.value > best.value);
}

TEST_CASE("scaling weights scales the objective and moves nothing") {
  Problem p = noisy(0.01, 1e-2, "chinchilla");
  const Solution one = solve(p.points, p.weights, p.huber);
  for (double& w : p.weights) w *= 4;
  const Solution four = solve(p.points, p.weights, p.huber);
  REQUIRE(four.value == Approx(4 * one.value).epsilon(1e-12));
  for (std::size_t i = 0; i < 5; ++i) REQUIRE(four.theta[i] == Approx(one.theta[i]).epsilon(1e-6));
}

TEST_CASE("small linear algebra: a known system, known eigenvalues, an indefinite matrix") {
  Matrix a{};
  at(a, 0, 0) = 4, at(a, 0, 1) = at(a, 1, 0) = 2, at(a, 1, 1) = 3;
  Vector x{};
  REQUIRE(solve_positive(a, Vector{10, 8}, 2, x));
  REQUIRE(x[0] == Approx(1.75));
  REQUIRE(x[1] == Approx(1.5));
  const std::vector<double> values = eigenvalues(a, 2);
  REQUIRE(values[0] == Approx((7 - std::sqrt(17.0)) / 2));
  REQUIRE(values[1] == Approx((7 + std::sqrt(17.0)) / 2));
  at(a, 1, 1) = 0.5;
  REQUIRE(!solve_positive(a, Vector{1, 1}, 2, x));
}
