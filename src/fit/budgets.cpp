#include "fit/budgets.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

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
  const std::vector<double>& key = runs.budget.empty() ? C : runs.budget;
  std::vector<std::size_t> order(C.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return key[i] < key[j]; });

  std::vector<BudgetPoints> budgets;
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    while (end < order.size() && key[order[end]] <= key[order[begin]] * (1 + kBudgetTolerance)) ++end;
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
    }
    budget.C = std::exp(log_C / static_cast<double>(group.size()));
    budgets.push_back(std::move(budget));
    begin = end;
  }
  return budgets;
}

std::vector<Replicate> replicates_of(const std::vector<BudgetPoints>& budgets) {
  std::vector<Replicate> result;
  for (std::size_t b = 0; b < budgets.size(); ++b) {
    for (std::size_t i = 0; i < budgets[b].loss.size(); ++i) {
      result.push_back({static_cast<int>(b), std::exp(budgets[b].log_N[i]), budgets[b].loss[i]});
    }
  }
  return result;
}

}  // namespace loglog::fit
