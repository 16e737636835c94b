#include "formats/tensor_map.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace loglog::formats {
namespace {

Index rows_of(const TensorMap& map) {
  return map.shape.size() == 1 ? 1 : static_cast<Index>(map.shape[0]);
}

Index cols_of(const TensorMap& map) {
  return static_cast<Index>(map.shape.back());
}

// Where output `i` of theirs stands among the outputs of ours.
Index our_output(const TensorMap& map, Index i) {
  const Index size = map.head_size, head = size > 0 ? i / size : 0, d = size > 0 ? i % size : 0;
  switch (map.order) {
    case HeadOrder::ours:
      return i;
    case HeadOrder::packed_qkv:  // head = 3 h + part
      return (head % 3) * map.heads * size + (head / 3) * size + d;
    case HeadOrder::rotary_pairs:  // d = 2 i + part
      return head * size + (d % 2) * (size / 2) + d / 2;
  }
  return i;
}

// call(index in theirs, index in ours) for all that corresponds.
template <class Call>
void for_each_pair(const TensorMap& map, const tensor::Parameter& ours, Call&& call) {
  const Index rows = rows_of(map), cols = cols_of(map);
  const Index our_rows = map.transposed ? cols : rows - map.skipped_rows;
  const Index our_cols = map.first_column + (map.transposed ? rows : cols);
  LOGLOG_CHECK(our_rows == ours.rows && our_cols <= ours.cols,
               "{}: {} rows and {} columns of {} with {} and {}", map.theirs, our_rows, our_cols, map.ours,
               ours.rows, ours.cols);
  const auto pair = [&](Index r, Index c) {
    const Index row = map.transposed ? c : r - map.skipped_rows;
    const Index col = map.first_column + our_output(map, map.transposed ? r : c);
    call(r * cols + c, row * ours.cols + col);
  };
  // Of a transposed one as many rows at once as fill a cache line of ours, which would be read again for each of them.
  const Index step = map.transposed ? 16 : 1;
  for (Index first = map.skipped_rows; first < rows; first += step)
    for (Index c = 0; c < cols; ++c)
      for (Index r = first; r < std::min(rows, first + step); ++r) pair(r, c);
}

}  // namespace

bool TensorMap::is_alike(Index rows, Index cols) const {
  return !transposed && order == HeadOrder::ours && first_column == 0 && skipped_rows == 0 &&
         rows_of(*this) == rows && cols_of(*this) == cols;
}

Index TensorMap::elements() const {
  Index count = 1;
  for (const std::uint64_t n : shape) count *= static_cast<Index>(n);
  return count;
}

void to_ours(const TensorMap& map, std::span<const float> theirs, const tensor::Parameter& ours) {
  for_each_pair(map, ours, [&](Index t, Index o) { ours.value[o] = theirs[static_cast<std::size_t>(t)]; });
}

void to_theirs(const TensorMap& map, std::span<float> theirs, const tensor::Parameter& ours) {
  std::ranges::fill(theirs, 0.0f);
  for_each_pair(map, ours, [&](Index t, Index o) { theirs[static_cast<std::size_t>(t)] = ours.value[o]; });
}

TensorMap& TensorMaps::matrix(std::string theirs, std::string ours, Index rows, Index cols) {
  TensorMap map;
  map.theirs = std::move(theirs), map.ours = std::move(ours);
  map.shape = {static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(cols)};
  return maps_.emplace_back(std::move(map));
}

TensorMap& TensorMaps::vector(std::string theirs, std::string ours, Index size, Index first_column) {
  TensorMap map;
  map.theirs = std::move(theirs), map.ours = std::move(ours);
  map.shape = {static_cast<std::uint64_t>(size)};
  map.first_column = first_column;
  return maps_.emplace_back(std::move(map));
}

void TensorMaps::linear(const std::string& theirs, const std::string& ours, const Linear& shape) {
  const auto finish = [&](TensorMap& map) {
    map.first_column = shape.first_column;
    map.order = shape.order, map.heads = shape.heads, map.head_size = shape.head_size;
  };
  TensorMap& weight = matrix(theirs + ".weight", ours + ".weight", shape.out, shape.in);
  weight.transposed = true;
  finish(weight);
  if (shape.bias) finish(vector(theirs + ".bias", ours + ".bias", shape.out));
}

void TensorMaps::norm(const std::string& theirs, const std::string& ours, Index width, bool bias) {
  vector(theirs + ".weight", ours + ".gain", width);
  if (bias) vector(theirs + ".bias", ours + ".bias", width);
}

}  // namespace loglog::formats
