// Ceres, NLopt and the fitter's own Newton descent on published sweeps: best objective, starts that reach it,
// time. The figures stand in docs/adr/0001-fit-solver.md.
//
//   bench_fit_solvers FITDATA        FITDATA holds chinchilla_svg245/ and chinchilla_kyo234/
#include <ceres/ceres.h>
#include <fmt/format.h>
#include <nlopt.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <functional>

#include "fit/bootstrap.hpp"
#include "fit/runs.hpp"
#include "fit/solve.hpp"

using namespace loglog::fit;

namespace {

struct Problem {
  const Points& points;
  std::vector<double> weights;
  Huber huber;
  double scale;  // F is divided by it, so that tolerances of libraries mean the same everywhere

  // Value and gradient alone; the Hessian is Newton's privilege and its cost.
  double evaluate(const double* x, double* gradient) const {
    Vector theta{};
    const int n = points.law().parameter_count();
    std::copy(x, x + n, theta.begin());
    Vector g;
    double value = 0;
    if (gradient != nullptr) std::fill(gradient, gradient + n, 0.0);
    for (int i = 0; i < points.size(); ++i) {
      const double w = weights[static_cast<std::size_t>(i)];
      if (w == 0) continue;
      const double r = points.law().form->log_loss(theta, points.log_x(i), &g, nullptr) - points.log_loss(i);
      value += w * huber.value(r);
      for (int k = 0; gradient != nullptr && k < n; ++k) {
        gradient[k] += w * huber.slope(r) * g[static_cast<std::size_t>(k)] / scale;
      }
    }
    return value / scale;
  }
};

using Solver = std::function<double(const Problem&, Vector)>;

double by_nlopt(nlopt_algorithm algorithm, const Problem& problem, Vector theta) {
  nlopt_opt solver = nlopt_create(algorithm, static_cast<unsigned>(problem.points.law().parameter_count()));
  const auto call = [](unsigned, const double* x, double* gradient, void* data) {
    return static_cast<const Problem*>(data)->evaluate(x, gradient);
  };
  nlopt_set_min_objective(solver, call, const_cast<Problem*>(&problem));
  nlopt_set_ftol_rel(solver, 1e-15);
  nlopt_set_maxeval(solver, 3000);
  double value = INFINITY;
  nlopt_optimize(solver, theta.data(), &value);
  nlopt_destroy(solver);
  return value * problem.scale;
}

class Gradient final : public ceres::FirstOrderFunction {
 public:
  explicit Gradient(const Problem& problem) : problem_(problem) {}
  int NumParameters() const override { return problem_.points.law().parameter_count(); }
  bool Evaluate(const double* x, double* cost, double* gradient) const override {
    *cost = problem_.evaluate(x, gradient);
    return std::isfinite(*cost);
  }

 private:
  const Problem& problem_;
};

double by_ceres_bfgs(const Problem& problem, Vector theta) {
  ceres::GradientProblem wrapped(new Gradient(problem));
  ceres::GradientProblemSolver::Options options;
  options.line_search_direction_type = ceres::BFGS;
  options.max_num_iterations = 1000;
  options.function_tolerance = 1e-15;
  options.gradient_tolerance = 1e-12;
  options.logging_type = ceres::SILENT;
  ceres::GradientProblemSolver::Summary summary;
  ceres::Solve(options, wrapped, theta.data(), &summary);
  return summary.final_cost * problem.scale;
}

class Residual final : public ceres::CostFunction {
 public:
  Residual(const Problem& problem, int i) : problem_(problem), i_(i) {
    set_num_residuals(1);
    mutable_parameter_block_sizes()->push_back(problem.points.law().parameter_count());
  }
  bool Evaluate(const double* const* x, double* residual, double** jacobian) const override {
    const Points& points = problem_.points;
    const int n = points.law().parameter_count();
    Vector theta{};
    std::copy(x[0], x[0] + n, theta.begin());
    Vector g;
    *residual = points.law().form->log_loss(theta, points.log_x(i_), &g, nullptr) - points.log_loss(i_);
    if (jacobian != nullptr && jacobian[0] != nullptr) std::copy(g.begin(), g.begin() + n, jacobian[0]);
    return true;
  }

 private:
  const Problem& problem_;
  int i_;
};

double by_ceres_least_squares(const Problem& problem, Vector theta) {
  ceres::Problem wrapped;
  for (int i = 0; i < problem.points.size(); ++i) {
    wrapped.AddResidualBlock(new Residual(problem, i), new ceres::HuberLoss(problem.huber.delta),
                             theta.data());
  }
  ceres::Solver::Options options;
  options.linear_solver_type = ceres::DENSE_QR;
  options.max_num_iterations = 1000;
  options.function_tolerance = 1e-15;
  options.gradient_tolerance = 1e-15;
  options.parameter_tolerance = 1e-15;
  options.logging_type = ceres::SILENT;
  ceres::Solver::Summary summary;
  ceres::Solve(options, &wrapped, &summary);
  return summary.final_cost;
}

// One descent: which points count how often, from where, and the best value known.
struct Job {
  Problem problem;
  Vector start;
  double reference;
};

void compare(const std::string& title, const std::vector<Job>& jobs) {
  const std::vector<std::pair<std::string, Solver>> solvers = {
      {"own Newton",
       [](const Problem& p, const Vector& start) {
         return descend(p.points, p.weights, p.huber, p.points.law().form->bounds(p.points), start).value;
       }},
      {"NLopt SLSQP", [](const Problem& p, const Vector& s) { return by_nlopt(NLOPT_LD_SLSQP, p, s); }},
      {"NLopt L-BFGS", [](const Problem& p, const Vector& s) { return by_nlopt(NLOPT_LD_LBFGS, p, s); }},
      {"NLopt TNEWTON",
       [](const Problem& p, const Vector& s) { return by_nlopt(NLOPT_LD_TNEWTON_PRECOND_RESTART, p, s); }},
      {"Ceres BFGS", by_ceres_bfgs},
      {"Ceres LM + Huber", by_ceres_least_squares},
  };
  fmt::print("{}\n  {:<18} {:>12} {:>12} {:>12} {:>12}\n", title, "solver", "worst/F*-1", "within 1e-6",
             "within 1e-12", "CPU ms each");
  for (const auto& [label, solver] : solvers) {
    double worst = 0;
    int close = 0;
    int exact = 0;
    const std::clock_t begin = std::clock();  // processor time: other programs do not count
    for (const Job& job : jobs) {
      const double excess = solver(job.problem, job.start) / job.reference - 1;
      worst = std::max(worst, excess);
      close += excess <= 1e-6 ? 1 : 0;
      exact += excess <= 1e-12 ? 1 : 0;
    }
    const double ms = 1e3 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    fmt::print("  {:<18} {:>12.1e} {:>8}/{:<3} {:>8}/{:<3} {:>12.3f}\n", label, worst, close, jobs.size(),
               exact, jobs.size(), ms / static_cast<double>(jobs.size()));
  }
}

void compare_on(const std::string& name, const Runs& runs) {
  const Points points(*find_law("chinchilla"), runs.columns, runs.loss);
  const Huber huber{1e-3};
  const double scale = huber.delta * points.size();
  const Solution best = solve(points, runs.weight, huber);
  std::vector<Job> cold;
  for (const Vector& start : best_starts(points, runs.weight, huber, 64)) {
    cold.push_back({{points, runs.weight, huber, scale}, start, best.value});
  }
  compare(fmt::format("{}, {} points, F* = {:.12e}: from the 64 best starts of the grid", name, points.size(),
                      best.value),
          cold);
  std::vector<Job> warm;
  for (std::uint64_t b = 0; b < 256; ++b) {
    const std::vector<double> weights = resample_counts(runs.cluster, runs.clusters, 1, b);
    warm.push_back({{points, weights, huber, scale}, best.theta, solve(points, weights, huber).value});
  }
  compare(name + ": 256 bootstrap resamples, from the fit of all points", warm);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: bench_fit_solvers FITDATA\n");
    return 2;
  }
  const std::string folder = argv[1];
  Table chinchilla = Table::read_csv(folder + "/chinchilla_svg245/svg_extracted_data.csv");
  chinchilla.rename("Model Size", "N");
  chinchilla.rename("Training FLOP", "C");
  chinchilla.derive("D=C/(6*N)");
  compare_on("chinchilla_svg245, 5 highest dropped", select_runs(chinchilla, {{"N", "D"}, 5, false}));
  compare_on("chinchilla_kyo234",
             select_runs(Table::read_csv(folder + "/chinchilla_kyo234/df.csv"), {{"N", "D"}, 0, false}));
  return 0;
}
