// Where the documents of a batch lie, as a model takes them.
#pragma once
#include <span>
#include <vector>

#include "data/documents.hpp"
#include "model/gpt.hpp"

namespace loglog::eval {

class PackedDocuments {
 public:
  // For at most `windows` windows of `context` tokens; allocates nothing afterwards.
  PackedDocuments(data::Token document_end, nn::Index context, nn::Index windows);

  static constexpr std::size_t kBytesPerRow =
      sizeof(data::DocumentRows) + sizeof(kernels::AttentionSequence) + sizeof(std::int32_t);

  // Of windows (n, context), every one of which begins a document anew. Valid until the next call.
  nn::Documents find(std::span<const data::Token> inputs);

 private:
  data::Token document_end_;
  nn::Index context_;
  std::vector<data::DocumentRows> rows_;
  std::vector<kernels::AttentionSequence> sequences_;
  std::vector<std::int32_t> positions_;
};

}  // namespace loglog::eval
