// loglog eval: what a trained model makes of data it has not seen.
#include "cli/eval.hpp"

#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/cache_type.hpp"
#include "cli/verbs.hpp"

namespace loglog::cli {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  loglog eval runs/tiny                                          the run's own validation loss, to the "
    "last bit\n"
    "  loglog eval runs/tiny --data other.tok --split all --by position,source --json\n"
    "  loglog eval runs/facts --spans answers.jsonl                   lines {\"begin\": 120, \"end\": 124, "
    "\"name\": \"answer\"}\n"
    "  loglog eval runs/tiny --task questions.jsonl --items scored.jsonl\n"
    "  loglog eval runs/tiny --quantized --calibrate text.tok         with dequantised rows for outliers, "
    "and "
    "with float32\n"
    "Tasks: JSON lines {prompt, choices, answer} or {prompt, target}, or CSV with prompt, classes, "
    "answer_index.\n"
    "Errors are standard errors over blocks of text or, where these are few, runs of windows; intervals of "
    "tasks are 95% bootstrap intervals over "
    "items.";

void add_data_options(CLI::App& verb, EvalArguments& a, const CLI::Option* task) {
  const auto of_data = [&](CLI::Option* option) { option->excludes(const_cast<CLI::Option*>(task)); };
  for (CLI::Option* option : add_data_arguments(verb, a.data)) of_data(option);
  of_data(verb.add_option("--by", a.by, "tables: position in the window, source; several with commas")
              ->delimiter(',')
              ->check(CLI::IsMember({"position", "source"})));
  of_data(verb.add_option("--spans", a.spans,
                          "losses of named ranges of tokens, from JSON lines {begin, end, name}")
              ->check(not_empty()));
  of_data(add_calibration_options(verb, a.calibration)->needs(verb.get_option("--quantized")));
}

}  // namespace

void add_eval(CLI::App& app, const Environment& environment, Action& run) {
  const auto a = std::make_shared<EvalArguments>();
  CLI::App* verb = app.add_subcommand("eval", "losses of a trained model, and its answers to tasks");
  add_model_arguments(*verb, a->model);
  CLI::Option* task = verb->add_option("--task", a->task, "questions: JSON lines or CSV")->check(not_empty());
  add_data_options(*verb, *a, task);
  verb->add_option("--kind", a->kind, "multiple-choice or exact-match; default: as the first line is")
      ->needs(task)
      ->check(not_empty());
  verb->add_option("--items", a->items, "write every item's scores to this file, as JSON lines")
      ->needs(task)
      ->check(not_empty());
  add_cache_option(*verb, a->cache)->needs(task);
  verb->add_option("--batch", a->batch, "items at a time; changes no result")
      ->needs(task)
      ->check(whole_between(1, 4096))
      ->capture_default_str();
  verb->add_option("--seed", a->seed, "of the bootstrap")
      ->needs(task)
      ->check(whole_between(0, UINT64_MAX))
      ->capture_default_str();
  verb->add_flag("--json", a->json, "for programs");
  verb->footer(kFooter);
  verb->callback([a, &environment, &run] {
    run = [a, &environment] {
      return a->task.empty() ? eval_data(*a, environment) : eval_task(*a, environment);
    };
  });
}

}  // namespace loglog::cli
