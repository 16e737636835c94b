// loglog fit convert: what a sweep that counts parameters and FLOPs in another way would find.
#include <fmt/format.h>

#include <memory>

#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/fit_law.hpp"
#include "fit/allocation/conversion.hpp"
#include "model/count.hpp"

namespace loglog::cli {
namespace {

struct ConvertArguments {
  LawArguments law;
  std::string constants, law_count, sizes = "768:1.5e9", shapes, from = "n_matrix,math",
                                    to = "n_nonemb,kaplan", flops;
  int budgets = 50;
};

std::pair<double, double> range_of(const std::string& text, const std::string& option) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) throw UsageError(fmt::format("{} '{}': write LOW:HIGH", option, text));
  const double low = positive_number(std::string_view(text).substr(0, colon), option),
               high = positive_number(std::string_view(text).substr(colon + 1), option);
  if (!(low < high)) throw UsageError(fmt::format("{} '{}': LOW is not below HIGH", option, text));
  return {low, high};
}

struct NamedCount {
  std::string name;
  double model::ParameterCounts::*count;
};
struct NamedFlops {
  std::string name;
  double model::FlopCounts::*flops;
};

// "n_nonemb,kaplan": how parameters and FLOPs are counted.
fit::Counted counted(const model::ModelConfig& config, const std::string& convention,
                     const std::string& option) {
  static const std::vector<NamedCount> counts = {{"n_nonemb", &model::ParameterCounts::n_nonemb},
                                                 {"n_matrix", &model::ParameterCounts::n_matrix},
                                                 {"n_total", &model::ParameterCounts::n_total}};
  static const std::vector<NamedFlops> flops = {{"kaplan", &model::FlopCounts::kaplan},
                                                {"6nd", &model::FlopCounts::n6d},
                                                {"math", &model::FlopCounts::math}};
  const std::size_t comma = convention.find(',');
  if (comma == std::string::npos)
    throw UsageError(fmt::format("{} '{}': write COUNT,FLOPS, as n_nonemb,kaplan", option, convention));
  return {model::count_parameters(config).*
              (find_named(option, convention.substr(0, comma), counts, &NamedCount::name).count),
          model::count_flops_per_token(config).*
              (find_named(option, convention.substr(comma + 1), flops, &NamedFlops::name).flops)};
}

// Columns are keys of model.*: layers, width, heads, vocab, context, and any others.
std::vector<fit::CountedModel> models_of(const ConvertArguments& a) {
  const fit::Table table = fit::Table::read_csv(a.shapes);
  std::vector<fit::CountedModel> models;
  for (int row = 0; row < table.rows(); ++row) {
    model::RunConfig config;
    for (const std::string& name : table.names())
      model::apply_set(config,
                       fmt::format("model.{}={}", name, table.texts(name)[static_cast<std::size_t>(row)]));
    if (config.model.vocab <= 0) throw UsageError(fmt::format("{} has no column vocab", a.shapes));
    models.push_back({counted(config.model, a.from, "--from"), counted(config.model, a.to, "--to")});
  }
  return models;
}

fit::FittedLaw law_of(const ConvertArguments& a) {
  if (a.constants.empty() == a.law.input.path.empty())
    throw UsageError("fit convert needs --input runs.csv or --constants E=...,A=..., one of them");
  if (a.constants.empty()) return fit_law(a.law);
  fit::FittedLaw fitted{fit::law_named(a.law.law), {}, {}};
  fitted.result.theta = fit::theta_of(*fitted.law, numbers_by_name(a.constants, "--constants"));
  fitted.result.law = fitted.law->name, fitted.result.formula = fitted.law->formula;
  return fitted;
}

int run_convert(const ConvertArguments& a) {
  if (a.law_count.empty() == a.shapes.empty())
    throw UsageError("fit convert needs --law-count FORMULA or --shapes FILE, one of them");
  const auto [least, largest] = range_of(a.sizes, "--sizes");
  const fit::ModelFamily family =
      a.shapes.empty() ? fit::ModelFamily(a.law_count, least, largest) : fit::ModelFamily(models_of(a));
  const auto [low, high] = range_of(a.flops, "--flops");
  const fit::FittedLaw fitted = law_of(a);
  const fit::Conversion conversion = fit::convert(fitted, family, fit::log_spaced(low, high, a.budgets));
  return print_answer(a.law, fit::conversion_json(fitted, conversion),
                      fit::conversion_text(fitted, conversion));
}

}  // namespace

void add_fit_convert(CLI::App& fit, Action& run) {
  auto arguments = std::make_shared<ConvertArguments>();
  CLI::App* verb = fit.add_subcommand(
      "convert", "What a sweep finds that counts parameters and FLOPs in another way than the law");
  add_law_options(*verb, arguments->law);
  verb->add_option("--constants", arguments->constants, "the law's parameters, in place of --input");
  verb->add_option("--law-count", arguments->law_count,
                   "N as the law counts from N of the other: 'N + 47491*N^(1/3)'");
  verb->add_option("--sizes", arguments->sizes, "with --law-count: LOW:HIGH in the other count")
      ->capture_default_str();
  verb->add_option("--shapes", arguments->shapes,
                   "CSV of models: layers, width, heads, vocab, context, other keys of model.*")
      ->check(not_empty());
  verb->add_option("--from", arguments->from, "with --shapes: how the law counts parameters and FLOPs")
      ->capture_default_str();
  verb->add_option("--to", arguments->to, "with --shapes: how the other sweep counts")->capture_default_str();
  verb->add_option("--flops", arguments->flops, "LOW:HIGH, budgets in the other count")->required();
  verb->add_option("--budgets", arguments->budgets, "how many between them")
      ->capture_default_str()
      ->check(CLI::Range(2, 10'000));
  verb->footer(
      "Counts: n_nonemb, n_matrix, n_total; FLOPs: kaplan, 6nd, math (docs/formats.md).\n"
      "Examples:\n"
      "  loglog fit convert --law chinchilla --input runs.csv --shapes shapes.csv --flops 1e12:1e15\n"
      "  loglog fit convert --law chinchilla --law-count 'N + 47491*N^(1/3)' --flops 8.9e12:5e20 \\\n"
      "                     --constants E=1.8172,A=482.01,alpha=0.3478,B=2085.43,beta=0.3658");
  verb->callback([arguments, &run] { run = [arguments] { return run_convert(*arguments); }; });
}

}  // namespace loglog::cli
