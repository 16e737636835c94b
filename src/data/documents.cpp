#include "data/documents.hpp"

#include "base/check.hpp"

namespace loglog::data {

void find_documents(std::span<const Token> inputs, std::int64_t context, Token document_end,
                    std::vector<DocumentRows>& out) {
  const auto rows = static_cast<std::int64_t>(inputs.size());
  LOGLOG_CHECK(context > 0 && rows % context == 0, "{} rows in windows of {}", rows, context);
  out.clear();
  std::int64_t begin = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const bool ends = inputs[static_cast<std::size_t>(row)] == document_end || (row + 1) % context == 0;
    if (!ends) continue;
    out.push_back({begin, row + 1 - begin});
    begin = row + 1;
  }
}

}  // namespace loglog::data
