#include "fit/budgets.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace loglog::fit {

int BudgetPoints::sizes_below(double log_size) const {
  int count = 0;
  for (std::size_t i = 0; i < log_N.size(); ++i) {
    count += log_N[i] < log_size && (i == 0 || log_N[i] != log_N[i - 1]) ? 1 : 0;
  }
  return count;
}

int BudgetPoints::sizes() const {
  return sizes_below(INFINITY);
}

std::vector<BudgetPoints> group_budgets(const Runs& runs) {
  const std::vector<double>& N = runs.column("N");
  const std::vector<double>& D = runs.column("D");
  const std::vector<double>& C = runs.column("C");
  const bool given = !runs.budget.empty();
  const std::vector<double>& key = given ? runs.budget : C;
  const double tolerance = given ? 0 : kBudgetTolerance;
  std::vector<std::size_t> order(C.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return key[i] < key[j]; });

  std::vector<BudgetPoints> budgets;
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    while (end < order.size() && key[order[end]] <= key[order[begin]] * (1 + tolerance)) ++end;
    std::vector<std::size_t> group(order.begin() + static_cast<std::ptrdiff_t>(begin),
                                   order.begin() + static_cast<std::ptrdiff_t>(end));
    // Ties by loss make the result independent of the order of the rows.
    std::sort(group.begin(), group.end(), [&](std::size_t i, std::size_t j) {
      return N[i] != N[j] ? N[i] < N[j] : runs.loss[i] < runs.loss[j];
    });
    BudgetPoints budget;
    double log_C = 0;
    for (const std::size_t i : group) {
      log_C += std::log(C[i]);
      budget.log_N.push_back(std::log(N[i]));
      budget.log_D.push_back(std::log(D[i]));
      budget.loss.push_back(runs.loss[i]);
      budget.weight.push_back(runs.weight[i]);
      if (!runs.seed.empty()) budget.seed.push_back(runs.seed[i]);
    }
    budget.C = std::exp(log_C / static_cast<double>(group.size()));
    budgets.push_back(std::move(budget));
    begin = end;
  }
  return budgets;
}

Replicates replicates_of(const std::vector<BudgetPoints>& budgets) {
  Replicates result;
  for (std::size_t b = 0; b < budgets.size(); ++b) {
    const BudgetPoints& points = budgets[b];
    for (std::size_t begin = 0, end = 0; begin < points.log_N.size(); begin = end) {
      while (end < points.log_N.size() && points.log_N[end] == points.log_N[begin]) ++end;
      std::set<double> seeds;
      for (std::size_t i = begin; i < end; ++i)
        seeds.insert(points.seed.empty() ? static_cast<double>(i) : points.seed[i]);
      if (seeds.size() < end - begin) {
        ++result.other_cells;
        continue;
      }
      for (std::size_t i = begin; i < end; ++i)
        result.losses.push_back({static_cast<int>(b), std::exp(points.log_N[i]), points.loss[i]});
    }
  }
  return result;
}

}  // namespace loglog::fit
