// Losses of one evaluation, taken apart: by position in the window, by source, by span. Each part is a mean with its standard
// error.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/batcher.hpp"
#include "eval/clustered_mean.hpp"
#include "eval/spans.hpp"

namespace loglog::eval {

struct Part {
  std::string name;
  ClusteredMean loss;  // nats per token
};

// A window of a sample: where it stands and what the model lost on it.
struct WindowLosses {
  std::uint64_t begin;            // index in the file of the first token, which is read and not predicted
  std::uint64_t cluster;          // Clusters::of
  std::size_t source;             // of the file
  std::span<const float> losses;  // (T) of the tokens begin + 1 ...
  std::span<const data::Token> targets;  // these; data::kIgnoredTarget for what does not count
};

class Breakdown {
 public:
  // `spans` outlives this object.
  Breakdown(std::size_t context, const std::vector<std::string>& sources, const Spans& spans);

  void add(const WindowLosses& window);

  const ClusteredMean& all() const { return all_; }
  // Positions from 0: 0, 1, 2-3, 4-7, ... up to the context.
  const std::vector<Part>& positions() const { return positions_; }
  double loss_at(std::size_t position) const;  // of one position alone
  const std::vector<Part>& sources() const { return sources_; }
  // In the order of their first appearance in the file of spans; a span is a cluster.
  const std::vector<Part>& spans() const { return span_parts_; }

 private:
  const Spans& span_list_;
  ClusteredMean all_;
  std::vector<Part> positions_, sources_, span_parts_;
  std::vector<double> sum_at_;           // (T)
  std::vector<std::uint64_t> count_at_;  // (T)
};

}  // namespace loglog::eval
