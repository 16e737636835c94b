#include "cli/form_speed.hpp"

#include <algorithm>

#include "base/seconds.hpp"
#include "base/stats.hpp"

namespace loglog::cli {
namespace {

Rates medians(std::span<const Rates> rounds) {
  const auto median_of = [&](double Rates::*rate) {
    std::vector<double> values;
    for (const Rates& round : rounds) values.push_back(round.*rate);
    return values.empty() ? 0.0 : loglog::median(values);
  };
  return {median_of(&Rates::prompt), median_of(&Rates::decode)};
}

}  // namespace

FormSpeed::FormSpeed(quant::RunningModel& model, const ModelData& data)
    : model_(model), decoder_(model.gpt(), 1) {
  constexpr std::size_t kPrompt = 512, kDecoded = 16;
  const auto context = static_cast<std::size_t>(model.gpt().config().context);
  prompt_ = std::clamp<std::size_t>(context / 2, 1, kPrompt);
  decoded_ = std::min(kDecoded, context - prompt_);
  tokens_.resize(context);
  std::vector<data::Token> targets(context);
  data.sample().fill(0, tokens_, targets);
}

void FormSpeed::measure() {
  decoder_.forget(0);
  Rates round;
  round.prompt = rate_of(0, prompt_, prompt_);
  if (decoded_ > 0) round.decode = rate_of(prompt_, decoded_, 1);
  rounds_.push_back(round);
}

Rates FormSpeed::median() const {
  return medians(rounds_);
}

double FormSpeed::rate_of(std::size_t first, std::size_t count, std::size_t at_a_time) {
  kernels::ExecContext ctx = model_.context();
  const std::span<const data::Token> tokens(tokens_);
  const double seconds = seconds_of([&] {
    for (std::size_t i = first; i < first + count; i += at_a_time) {
      const infer::Piece piece{0, tokens.subspan(i, at_a_time)};
      decoder_.next(ctx, std::span(&piece, 1));
    }
  });
  return static_cast<double>(count) / seconds;
}

Rates measure_in_turn(FormSpeed& exact, FormSpeed& other) {
  constexpr int kRounds = 5;
  std::vector<Rates> ratios;
  for (int round = 0; round < kRounds; ++round) {
    exact.measure(), other.measure();
    const Rates &a = exact.rounds().back(), &b = other.rounds().back();
    ratios.push_back({b.prompt / a.prompt, a.decode > 0 ? b.decode / a.decode : 0});
  }
  return medians(ratios);
}

}  // namespace loglog::cli
