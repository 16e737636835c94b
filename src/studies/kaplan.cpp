// Scaling laws for neural language models (Kaplan et al. 2020): loss by size, by text, by both, and the allocation of compute.
//
// The exponents themselves are not compared: bytes are no BPE. Judged are the forms, what they foretell, and how far the count of parameters and
// the conditions of training move the exponent of N_opt.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "data/part.hpp"
#include "data/synth.hpp"
#include "studies/format.hpp"
#include "studies/kaplan_measures.hpp"
#include "studies/model_arms.hpp"
#include "studies/samples.hpp"
#include "studies/studies.hpp"

namespace loglog::studies {
namespace {

constexpr double kValidationShare = 0.1;  // of the text, from which the parts take theirs
constexpr std::uint64_t kContext = 128;   // of the sweeps

std::vector<Claim> claims_of(const Manifest& m) {
  const std::string end = fmt::format(
      "foretold from the others within {}, falsified beyond {}; half of alpha's 95% interval at most {} of "
      "it",
      percent(m("end_error_most")), percent(m("end_error_falsified")), percent(m("alpha_width_most")));
  return {
      {"C1", "loss is a power law of size where text is plenty", "the largest size " + end,
       "L(N) = (8.8e13 / N)^0.076, N without embeddings"},
      {"C2", "loss is a power law of text where the model is large, stopped early", "the largest text " + end,
       "L(D) = (5.4e13 / D)^0.095"},
      {"C3", "what limited text costs depends on N^p / D alone",
       fmt::format("p above 0, at least {}; one curve explains at least {} of the variance of ln(rise), of "
                   "the cells whose "
                   "loss it raises by {} or more",
                   m("power_notable"), percent(m("explained_least")), percent(m("rise_least"))),
       "N^0.74 / D"},
      {"C4", "counting neither embeddings nor head raises the exponent of N_opt",
       fmt::format(
           "the same runs, approach 3: a in Kaplan's count less a with head and all FLOPs at least {}; the "
           "vocabulary is the dial, and here it is small",
           m("gap_least")),
       "0.73 against 0.50; Porian et al.: the head alone 0.835 to 0.71"},
      {"C5", "so do his conditions: one warm-up, one schedule, nothing tuned",
       fmt::format("runs under them, in his count, less tuned runs in ours: at least {}", m("gap_least")),
       "0.73 against 0.50; Porian et al.: 0.835 to 0.50 step by step"},
  };
}

std::vector<Allowed> allowed_of(const Manifest& m) {
  using enum Allowed::Kind;
  constexpr double kInf = Measure::kInfinity, kTokens = 1e10;
  return {
      {"end_error_most", 0, 1},
      {"end_error_falsified", m("end_error_most"), kInf},
      {"alpha_width_most", 0, kInf},
      {"rise_least", 1e-6, 1},
      {"power_notable", 0, 3},
      {"explained_least", 0, 1},
      {"gap_least", 0, 1},
      {"gap_notable", 0, m("gap_least")},
      {"planted_alpha", 0.05, 4},
      {"planted_error_most", 0, 1},
      {"null_excess_most", 0, 1},
      {"null_slope_most", 0, 1},
      {"resamples", 100, 1e5, whole},
      {"unique_tokens", 1, kTokens, whole},
      {"validation_tokens", 1, kTokens, whole},
      {"world_tokens", 1e4, kTokens, whole},
      {"unique_first", 1, 1e6, whole},
      {"unique_parts", 1, 20, whole},
  };
}

struct Measured {
  fit::Table size{""}, rows{""}, conditions{""}, planted{""}, null{""};
  std::vector<std::pair<double, fit::Table>> limited;  // by unique tokens
  double planted_floor = 0, null_floor = 0;
};

// A part of the text, made once; anew where the one that is there is of another text or has another length.
Path part_of(const Workplace& w, const Manifest& m, double train) {
  Path path = w.folder / fmt::format("part-{:.0f}k.tok", train / 1000);
  const data::TokenFile text = data::TokenFile::open(w.data);
  const data::PartSize size{static_cast<std::uint64_t>(train),
                            static_cast<std::uint64_t>(m("validation_tokens"))};
  if (!path_exists(path) || !data::is_part_of(data::TokenFile::open(path), text, size))
    data::write_part(real_file_system(), text, size, kValidationShare, path, w.command);
  return path;
}

// A procedural world, made once, and the loss of its own on what validates.
struct World {
  Path path;
  double floor;
};
World world_of(const Workplace& w, const std::string& name, double tokens,
               std::vector<std::string> settings) {
  Path path = w.folder / fmt::format("{}-{:.0f}-{}.tok", name, tokens, settings.front());
  if (!path_exists(path)) {
    data::SynthOptions options;
    options.world = name, options.settings = std::move(settings);
    options.tokens = static_cast<std::uint64_t>(tokens), options.contexts = {kContext},
    options.command = w.command;
    options.stop_requested = w.stop;
    data::synthesize(real_file_system(), options, path);
  }
  const nlohmann::json meta = data::TokenFile::open(path).meta();
  return {std::move(path), meta.at("entropy").at("floors").at(0).at("validation_loss").get<double>()};
}

// Nothing when a signal came.
std::optional<Measured> train_all(const Manifest& m, const Workplace& w, const std::string& effort) {
  real_file_system().create_directories(w.folder);
  Measured all;
  const auto take = [](std::optional<fit::Table> table, fit::Table& to) {
    if (table) to = std::move(*table);
    return table.has_value();
  };
  const double unique = m("unique_tokens");
  const World planted = world_of(
                  w, "contexts", m("world_tokens"),
                  {fmt::format("alpha={}", m("planted_alpha")), "facts=65536", "values=64", "length=6"}),
              null = world_of(w, "markov", m("world_tokens"), {"order=1", "vocab=32"});
  all.planted_floor = planted.floor, all.null_floor = null.floor;
  const std::string rows = "kaplan-rows-" + effort;
  if (!take(trained_runs(w, "kaplan-size-" + effort, "", part_of(w, m, unique)), all.size) ||
      !take(trained_runs(w, rows), all.rows) || !take(trained_runs(w, rows, "conditions"), all.conditions) ||
      !take(trained_runs(w, "kaplan-planted-" + effort, "", planted.path), all.planted) ||
      !take(trained_runs(w, "kaplan-null-" + effort, "", null.path), all.null))
    return std::nullopt;
  for (int i = 0; i < static_cast<int>(m("unique_parts")); ++i) {
    const double tokens = 1000 * m("unique_first") * std::exp2(i);
    const std::string arm = fmt::format("unique-{:.0f}k", tokens / 1000);
    auto runs = trained_runs(w, "kaplan-data-" + effort, arm, part_of(w, m, tokens));
    if (!runs) return std::nullopt;
    all.limited.emplace_back(tokens, std::move(*runs));
  }
  return all;
}

// Least loss of each size.
std::map<std::string, double> best_by_size(const fit::Table& runs) {
  std::map<std::string, double> best;
  const std::vector<double> loss = runs.numbers("best_loss");
  for (std::size_t i = 0; i < loss.size(); ++i)
    if (std::isfinite(loss[i])) {
      const auto [at, is_new] = best.try_emplace(runs.texts("size")[i], loss[i]);
      if (!is_new) at->second = std::min(at->second, loss[i]);
    }
  return best;
}

Overfit overfit_of(const Measured& all) {
  const std::map<std::string, double> free = best_by_size(all.size);
  std::map<std::string, double> N;
  for (int i = 0; i < all.size.rows(); ++i)
    N[all.size.texts("size")[static_cast<std::size_t>(i)]] =
        all.size.numbers("n_nonemb")[static_cast<std::size_t>(i)];
  Overfit o;
  for (const auto& [unique, runs] : all.limited)
    for (const auto& [size, loss] : best_by_size(runs))
      if (free.contains(size)) o.cells.push_back({N.at(size), unique, loss, free.at(size)});
  return o;
}

// Of the largest size that was given limited text: unique tokens, D, and the loss where it was stopped, the runs that read theirs once among them.
fit::Table by_text(const Measured& all) {
  const std::map<std::string, double> last = best_by_size(all.limited.back().second);
  std::string largest;
  double most = 0;
  const std::vector<double> N = all.size.numbers("N");
  for (std::size_t i = 0; i < N.size(); ++i)
    if (last.contains(all.size.texts("size")[i]) && N[i] > most)
      most = N[i], largest = all.size.texts("size")[i];
  std::vector<double> D, loss;
  for (const auto& [unique, runs] : all.limited)
    if (const auto best = best_by_size(runs); best.contains(largest))
      D.push_back(unique), loss.push_back(best.at(largest));
  const std::vector<double> read = all.size.numbers("D"), once = all.size.numbers("loss");
  for (std::size_t i = 0; i < N.size(); ++i)
    if (all.size.texts("size")[i] == largest && std::isfinite(once[i]))
      D.push_back(read[i]), loss.push_back(once[i]);
  fit::Table table("loss by text");
  table.add("D", D), table.add("loss", loss);
  return table;
}

struct Findings {
  ForetoldEnd by_size, by_text;
  Overfit overfit;
  Collapse collapse;
  std::vector<ForetoldGap> gaps;
  Accounting accounting;
};

void add_law_row(Table& t, const std::string& law, const ForetoldEnd& end,
                 const std::optional<fit::FitResult>& fit) {
  if (!fit) return t.rows.push_back({law, "not determined", "", "", "", ""});
  const auto text = [&](const char* name) {
    const auto p = std::ranges::find(fit->params, name, &fit::Interval::name);
    return p == fit->params.end()
               ? std::string("-")
               : fmt::format("{} [{}, {}]", number(p->value), number(p->low), number(p->high));
  };
  const double at = fit::predict(*fit::find_law(fit->law), fit->theta, std::vector<double>{end.largest});
  t.rows.push_back({law, text("alpha"), text("E"), number(end.largest), number(at, 5), number(end.seen, 5)});
}

Table law_table(const Findings& found) {
  Table t{"Laws of one variable, fitted without its largest value",
          {"law", "alpha", "floor", "largest", "foretold", "seen"},
          {},
          ""};
  for (const ForetoldEnd* end : {&found.by_size, &found.by_text}) {
    add_law_row(t, fmt::format("L({})", end->variable), *end, end->plain);
    add_law_row(t, fmt::format("L({}) with a floor", end->variable), *end, end->with_floor);
    if (std::isfinite(end->floor_gain))
      t.note +=
          fmt::format("With a floor, AICc of L({}) falls by {}. ", end->variable, number(end->floor_gain));
  }
  t.note += "N without embeddings and head; 95% intervals. Exponents of bytes: the paper's do not apply.";
  return t;
}

Table overfit_table(const Findings& found, double least) {
  Table t{"What limited text costs",
          {"N", "unique tokens", "loss, stopped early", "loss of plenty", "rise"},
          {},
          ""};
  for (const Overfit::Cell& c : found.overfit.cells)
    t.rows.push_back({number(c.N), number(c.unique), number(c.loss, 5), number(c.free_loss, 5),
                      percent(c.rise()) + (c.rise() < least ? " (left out)" : "")});
  t.note = fmt::format("p {} [paper 0.74], explained {}.", with_interval(found.collapse.power),
                       with_interval(found.collapse.explained));
  return t;
}

Table gap_table(const Findings& found) {
  Table t{"The exponent of N_opt, by how parameters and FLOPs are counted", {"", "a", "gap"}, {}, ""};
  const Accounting& a = found.accounting;
  const auto gap = [&](double value, const std::vector<double>& draws) {
    if (draws.empty()) return std::string("-");
    Measure m;
    set_samples(m, value, draws, a.t);
    return with_interval(m);
  };
  t.rows = {{"matrices and head, every FLOP", number(a.a), ""},
            {"the same runs, Kaplan's count", number(a.a_kaplan), gap(a.a_kaplan - a.a, a.gap_draws)},
            {"Kaplan's conditions and count", number(a.a_conditions),
             gap(a.a_conditions - a.a, a.conditions_draws)}};
  for (const ForetoldGap& g : found.gaps)
    t.rows.push_back({fmt::format("foretold from the law and both counts, vocabulary {}", g.vocab), "",
                      g.refusal.empty() ? fmt::format("{} [{}, {}]", number(g.gap.value), number(g.gap.low),
                                                      number(g.gap.high))
                                        : g.refusal});
  t.note =
      "Foretold with 6 FLOPs for each parameter, of models whose widths go with their size as those of the "
      "rows. The head of a small model grows with its width alone: the larger the vocabulary, the more of "
      "the "
      "smallest models Kaplan's count leaves "
      "out, so that the vocabulary is the dial. The rows of the text's own vocabulary were foretold before "
      "the second count was fitted.";
  return t;
}

report::Figure collapse_figure(const Findings& found, double least) {
  const double p = found.collapse.power.value;
  report::Figure f{"collapse",
                   "What limited text costs, over N^p / D",
                   "",
                   {fmt::format("N^{:.2f} / D", p), true},
                   {"rise of the loss", true}};
  f.caption = "A point for each size and text; one curve through all of them is what the paper says.";
  f.legend_title = "N";
  std::map<double, report::Series> by_size;
  for (const Overfit::Cell& c : found.overfit.used(least)) {
    report::Series& s = by_size[c.N];
    s.label = report::short_number(c.N);
    s.x.push_back(std::pow(c.N, p) / c.unique), s.y.push_back(c.rise());
  }
  for (auto& [N, s] : by_size) {
    s.colour = static_cast<int>(f.series.size());
    f.series.push_back(std::move(s));
  }
  return f;
}

void add_page(const Findings& found, const Manifest& m, Result& result) {
  result.tables = {law_table(found), overfit_table(found, m("rise_least")), gap_table(found)};
  if (std::isfinite(found.collapse.power.value))
    result.figures.push_back(collapse_figure(found, m("rise_least")));
}

Findings measure(const Measured& all, const Manifest& m, const Workplace& w) {
  Findings found;
  fit::Table size = all.size;
  size.rename("N", "N_of_sweep"), size.rename("n_nonemb", "N");
  found.by_size = foretell_end(size, "N", "loss");
  found.by_text = foretell_end(by_text(all), "D", "loss");
  found.overfit = overfit_of(all);
  found.collapse = collapse_of(found.overfit, m, w.seed);
  found.gaps = foretell_gaps(all.rows, w);  // before the other count is fitted
  found.accounting = accounting_of(all.rows, all.conditions, m, w);
  return found;
}

std::optional<Result> run(const Manifest& manifest, const Workplace& w) {
  const auto all = train_all(manifest, w, std::string(kEfforts[static_cast<int>(w.effort)]));
  if (!all || w.stop()) return std::nullopt;
  w.say("fits");
  const Findings found = measure(*all, manifest, w);
  const std::vector<Claim> claims = claims_of(manifest);
  Result result;
  result.findings = {
      power_law(claims[0], found.by_size, manifest), power_law(claims[1], found.by_text, manifest),
      collapsed(claims[2], found.collapse, manifest), accounting_gap(claims[3], found.accounting, manifest),
      conditions_gap(claims[4], found.accounting, manifest)};
  result.controls = {planted_exponent(all->planted, all->planted_floor, manifest("planted_alpha"), manifest),
                     no_law(all->null, all->null_floor, manifest)};
  result.facts = facts_of(data::TokenFile::open(w.data));
  result.facts.push_back(runs_fact("sizes", all->size));
  for (const auto& [unique, runs] : all->limited)
    result.facts.push_back(runs_fact(fmt::format("{} unique tokens", number(unique)), runs));
  result.facts.push_back(runs_fact("rows", all->rows));
  result.facts.push_back(runs_fact("rows under Kaplan's conditions", all->conditions));
  add_page(found, manifest, result);
  return w.stop() ? std::nullopt : std::optional(std::move(result));
}

}  // namespace

Study kaplan_study() {
  return {"kaplan",
          "Scaling laws by size, text and compute, and how they are counted",
          "seventy models of up to 0.5M parameters, 1.1e14 FLOPs: an estimated quarter of an hour",
          "a hundred models of up to 2.7M parameters, 6e15 FLOPs: an estimated nine hours",
          claims_of,
          allowed_of,
          run};
}

}  // namespace loglog::studies
