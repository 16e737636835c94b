// The documents inside training windows.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/token_file.hpp"

namespace loglog::data {

// Rows [begin, begin + length) of a batch of windows that belong to one document.
struct DocumentRows {
  std::int64_t begin, length;
  friend bool operator==(const DocumentRows&, const DocumentRows&) = default;
};

// Cuts windows (n, context) behind every `document_end` and at the end of each window. The parts follow each other and cover
// all rows; `out` is overwritten and never grows beyond the number of inputs.
void find_documents(std::span<const Token> inputs, std::int64_t context, Token document_end,
                    std::vector<DocumentRows>& out);

}  // namespace loglog::data
