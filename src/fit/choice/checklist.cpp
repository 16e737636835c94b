#include "fit/choice/checklist.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <map>
#include <set>

namespace loglog::fit {
namespace {

struct Facts {
  const Table& table;
  const Procedure& procedure;
  const ProcedureOptions& options;
  const FitResult& result;

  // The cells of a column at the rows that were used; of none where there is no such column.
  std::vector<std::string> texts(std::string_view name) const {
    std::vector<std::string> cells;
    if (!table.has(name)) return cells;
    for (const int row : result.rows) cells.push_back(table.texts(name)[static_cast<std::size_t>(row)]);
    return cells;
  }
  std::vector<double> numbers(std::string_view name) const {
    std::vector<double> values;
    if (!table.has(name) || !table.is_numeric(name)) return values;
    const std::vector<double> all = table.numbers(name);
    for (const int row : result.rows)
      if (const double value = all[static_cast<std::size_t>(row)]; !std::isnan(value))
        values.push_back(value);
    return values;
  }
};

using Names = std::vector<std::string>;

// "32", "16 to 64 (3 values)", "cosine, wsd"
std::string in_short(const Facts& f, const std::string& name) {
  if (const std::vector<double> values = f.numbers(name); !values.empty()) {
    const std::set<double> distinct(values.begin(), values.end());
    if (distinct.size() == 1) return fmt::format("{:.4g}", *distinct.begin());
    return fmt::format("{:.4g} to {:.4g} ({} values)", *distinct.begin(), *distinct.rbegin(),
                       distinct.size());
  }
  const Names cells = f.texts(name);
  std::set<std::string> distinct(cells.begin(), cells.end());
  distinct.erase("");
  constexpr std::size_t kMost = 3;
  if (distinct.size() > kMost) return fmt::format("{} values", distinct.size());
  return fmt::format("{}", fmt::join(distinct, ", "));
}

using Answer = std::function<std::string(const Facts&)>;

// Of the first of these columns that the table has.
Answer first_of(const Names& names) {
  return [names](const Facts& f) {
    for (const std::string& name : names)
      if (std::string text = in_short(f, name); !text.empty()) return text;
    return std::string();
  };
}
// Of all of these columns that the table has, with their names.
Answer each_of(const Names& names) {
  return [names](const Facts& f) {
    Names parts;
    for (const std::string& name : names)
      if (const std::string text = in_short(f, name); !text.empty())
        parts.push_back(name.substr(name.find('.') + 1) + " " + text);
    return fmt::format("{}", fmt::join(parts, ", "));
  };
}

bool about_equal(const std::vector<double>& a, const std::vector<double>& b, double relative) {
  if (a.empty() || a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::abs(a[i] - b[i]) > relative * std::abs(b[i])) return false;
  return true;
}

std::string counting_of_N(const Facts& f) {
  static const std::map<std::string, std::string> kinds = {
      {"n_matrix", "matrices of the blocks and the head"},
      {"n_nonemb", "matrices of the blocks, without embedding and head"},
      {"n_total", "all that is trained, embeddings too"}};
  for (const auto& [name, meaning] : kinds)
    if (about_equal(f.numbers("N"), f.numbers(name), 1e-9)) return fmt::format("{}: {}", name, meaning);
  return "";
}

std::string counting_of_C(const Facts& f) {
  const std::vector<double> C = f.numbers("C");
  for (const char* name : {"flops_math", "flops_6nd", "flops_kaplan", "flops_mfu"})
    if (about_equal(C, f.numbers(name), 1e-9)) return name;
  std::vector<double> product = f.numbers("N");
  const std::vector<double> D = f.numbers("D");
  if (product.size() != D.size()) return "";
  for (std::size_t i = 0; i < D.size(); ++i) product[i] *= 6 * D[i];
  return about_equal(C, product, 0.01) ? "6 N D" : "";
}

// Stores have resolved rates, and "none" for what resolved them.
std::string rate_rule(const Facts& f) {
  const std::string rule = first_of({"train.size_rule", "lr_rule"})(f);
  return rule == "none" ? "" : rule;
}

std::string tokens_per_parameter(const Facts& f) {
  std::vector<double> ratio = f.numbers("D");
  const std::vector<double> N = f.numbers("N");
  if (ratio.empty() || ratio.size() != N.size()) return "";
  for (std::size_t i = 0; i < N.size(); ++i) ratio[i] /= N[i];
  const auto [low, high] = std::ranges::minmax_element(ratio);
  return fmt::format("{:.3g} to {:.3g}", *low, *high);
}

std::string points(const Facts& f) {
  std::string text = fmt::format("{} of {} rows", f.result.n, f.table.rows());
  const Names runs = f.texts("run");
  if (!runs.empty()) text += fmt::format(", {} runs", std::set<std::string>(runs.begin(), runs.end()).size());
  return text;
}

std::string left_out(const Facts& f) {
  std::map<std::string, int> reasons;
  for (const Exclusion& e : f.result.excluded) ++reasons[e.reason.substr(0, e.reason.find(':'))];
  Names parts;
  for (const auto& [reason, count] : reasons) parts.push_back(fmt::format("{}: {}", count, reason));
  constexpr std::size_t kMost = 4;
  if (parts.size() > kMost)
    return fmt::format("{} rows, for reasons that stand with them", f.result.excluded.size());
  return parts.empty() ? "none" : fmt::format("{}", fmt::join(parts, "; "));
}

std::string checkpoints(const Facts& f) {
  const std::vector<double> progress = f.numbers("progress");
  if (progress.empty()) return f.table.has_named_rows() ? "final losses alone" : "";  // a store has no others
  const auto early = std::ranges::count_if(progress, [](double p) { return p < 1; });
  return early == 0 ? "final losses alone" : fmt::format("{} losses read before the end of their run", early);
}

std::string objective(const Facts& f) {
  std::string text = f.result.objective_kind;
  if (f.result.delta > 0)
    text += fmt::format(", delta {:.3g} on ln {}", f.result.delta, f.procedure.response);
  return text;
}

std::string optimiser(const Facts& f) {
  if (!f.result.has_certificate) return "linear regression";
  return fmt::format("Newton's method from the {} best starts, {} of which agree",
                     f.result.certificate.starts, f.result.certificate.agreeing);
}

std::string stopping(const Facts& f) {
  if (!f.result.has_certificate) return "exact";
  return fmt::format("{}: scaled gradient {:.1e}, decrement {:.1e}",
                     f.result.certificate.converged ? "converged" : "NOT CONVERGED",
                     f.result.certificate.gradient, f.result.certificate.decrement);
}

std::string identification(const Facts& f) {
  if (!f.result.has_certificate) return "exponents of a line";
  return fmt::format("{}, condition number {:.3g}{}", f.result.identified ? "identified" : "NOT IDENTIFIED",
                     f.result.certificate.condition,
                     f.result.certificate.at_bounds.empty()
                         ? ""
                         : fmt::format(", at bounds: {}", fmt::join(f.result.certificate.at_bounds, ", ")));
}

struct Question {
  std::string block, name;
  Answer answer;             // empty: the table does not tell
  std::string missing = {};  // what the table would have to have
};

std::vector<Question> about_runs() {
  return {
      {"hypothesis", "form",
       [](const Facts& f) { return f.procedure.formula + " (" + f.procedure.source + ")"; }},
      {"hypothesis", "predicted", [](const Facts& f) { return f.procedure.response; }},
      {"hypothesis", "variables",
       [](const Facts& f) { return fmt::format("{}", fmt::join(f.procedure.variables, ", ")); }},
      {"hypothesis", "counting of N", counting_of_N, "n_matrix, n_nonemb or n_total, one of which N equals"},
      {"hypothesis", "counting of C", counting_of_C, "C that is 6 N D or equals a column flops_..."},

      {"setup", "sizes N", first_of({"N"}), "N"},
      {"setup", "tokens D", first_of({"D"}), "D"},
      {"setup", "tokens per parameter", tokens_per_parameter, "N and D"},
      {"setup", "architecture",
       each_of({"model.layers", "model.width", "model.heads", "model.context", "model.mlp"}),
       "model.layers, ..."},
      {"setup", "vocabulary", first_of({"model.vocab", "vocab"}), "model.vocab"},
      {"setup", "learning rate", first_of({"train.lr", "lr", "learning_rate", "peak_lr"}), "lr"},
      {"setup", "learning-rate rule", rate_rule,
       "lr_rule: how the rate follows the size, and how it was tuned"},
      {"setup", "schedule",
       each_of({"train.schedule", "schedule", "train.warmup", "warmup", "train.decay_share", "train.min_lr"}),
       "schedule, warmup"},
      {"setup", "batch", first_of({"train.batch", "batch", "batch_size"}), "batch"},
      {"setup", "optimiser",
       each_of({"train.optimizer", "optimizer", "train.beta1", "train.beta2", "train.weight_decay",
                "weight_decay", "train.clip"}),
       "optimizer, weight_decay"},
      {"setup", "precision", first_of({"train.precision", "precision"}), "precision"},
      {"setup", "seeds", first_of({"seed", "train.seed"}), "seed"},
      {"setup", "text", first_of({"data.path", "data", "dataset"}), "data.path"},
      {"setup", "epochs", first_of({"epochs"}), "epochs"},
  };
}

std::vector<Question> about_fit() {
  return {
      {"data", "points", points},
      {"data", "left out", left_out},
      {"data", "checkpoints", checkpoints, "progress, 1 where a loss is final"},
      {"data", "loss measured on", each_of({"eval.tokens", "data.val_share", "data.split"}), "eval.tokens"},
      {"data", "interpolation",
       [](const Facts& f) {
         return f.procedure.name == "isoflop" ? f.options.interpolation : std::string("none");
       }},

      {"fit", "objective", objective},
      {"fit", "weights",
       [](const Facts& f) {
         return f.table.has("weight") ? in_short(f, "weight") : std::string("all rows alike");
       }},
      {"fit", "optimiser", optimiser},
      {"fit", "stopping", stopping},
      {"fit", "identification", identification},
      {"fit", "intervals",
       [](const Facts& f) {
         return f.result.interval_method.empty() ? std::string("none") : f.result.interval_method;
       }},
      {"fit", "validation",
       [](const Facts&) {
         return std::string("none by this command; `loglog fit holdout` and `fit choose` do it");
       }},
  };
}

}  // namespace

std::vector<ChecklistItem> checklist(const Table& table, const Procedure& procedure,
                                     const ProcedureOptions& options, const FitResult& result) {
  const Facts facts{table, procedure, options, result};
  std::vector<ChecklistItem> items;
  std::vector<Question> questions = about_runs();
  std::ranges::move(about_fit(), std::back_inserter(questions));
  for (const Question& q : questions) {
    const std::string answer = q.answer(facts);
    items.push_back({q.block, q.name, answer.empty() ? "not stated in the table: " + q.missing : answer,
                     !answer.empty()});
  }
  return items;
}

}  // namespace loglog::fit
