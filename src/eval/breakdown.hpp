// Losses of one evaluation, taken apart: by position in the window, by source, by span. Each part is a mean with its standard
// error.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/batcher.hpp"
#include "eval/spans.hpp"

namespace loglog::eval {

// A mean over tokens that come in clusters (windows of one block of text, which resemble each other). The standard error is that
// of a ratio of two sums over clusters (Cochran 1977, section 6.3):
//
//   mean = S / N,   se^2 = G / (G - 1) * sum_g (S_g - mean N_g)^2 / N^2       G clusters, S_g their sums, N_g their sizes
class ClusteredMean {
 public:
  // `sum` over `count` tokens of a cluster. Those of one cluster come one after the other.
  void add(std::uint64_t cluster, double sum, std::uint64_t count);

  std::uint64_t count() const { return count_; }
  std::size_t clusters() const { return clusters_.size(); }
  double mean() const;            // NaN when empty
  double standard_error() const;  // NaN below two clusters

 private:
  struct Cluster {
    std::uint64_t number;
    double sum;
    std::uint64_t count;
  };
  std::vector<Cluster> clusters_;
  double sum_ = 0;
  std::uint64_t count_ = 0;
};

// Which windows of a sample make a cluster: those of one block of the split or, where there are fewer than kFewBlocks, equal
// runs of windows, kRuns in all (batch means).
class Clusters {
 public:
  static constexpr std::size_t kFewBlocks = 16;
  static constexpr std::uint64_t kRuns = 32;
  explicit Clusters(const data::FixedSample& sample)
      : sample_(sample), by_block_(sample.blocks() >= kFewBlocks) {}

  std::uint64_t of(std::uint64_t window) const {
    return by_block_ ? sample_.block(window) : window * kRuns / sample_.windows();
  }

 private:
  const data::FixedSample& sample_;
  bool by_block_;
};

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
