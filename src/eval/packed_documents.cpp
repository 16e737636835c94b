#include "eval/packed_documents.hpp"

namespace loglog::eval {

PackedDocuments::PackedDocuments(data::Token document_end, nn::Index context, nn::Index windows)
    : document_end_(document_end), context_(context) {
  const auto rows = static_cast<std::size_t>(context * windows);
  rows_.reserve(rows);
  sequences_.reserve(rows);
  positions_.reserve(rows);
}

nn::Documents PackedDocuments::find(std::span<const data::Token> inputs) {
  data::find_documents(inputs, context_, document_end_, rows_);
  sequences_.clear();
  positions_.clear();
  for (const auto& [begin, length] : rows_) {
    sequences_.push_back({begin, length, begin, length});
    for (std::int64_t t = 0; t < length; ++t) positions_.push_back(static_cast<std::int32_t>(t));
  }
  return {sequences_, positions_.data()};
}

}  // namespace loglog::eval
