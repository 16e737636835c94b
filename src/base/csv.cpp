#include "base/csv.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/byte_order_mark.hpp"
#include "base/error.hpp"

namespace loglog {

CsvReader::CsvReader(std::string_view text, const std::string& source)
    : text_(without_byte_order_mark(text)), source_(source) {}

std::vector<CsvCell> CsvReader::record() {
  std::vector<CsvCell> cells;
  line_start_ = position_;
  line_ = next_line_++;
  while (true) {
    cells.push_back(cell());
    if (at_end() || text_[position_] == '\n') break;
    ++position_;  // the comma
  }
  if (!at_end()) ++position_;
  return cells;
}

CsvCell CsvReader::cell() {
  const int column = static_cast<int>(position_ - line_start_) + 1;
  if (!at_end() && text_[position_] == '"') return {quoted(column), column};
  const std::size_t end = std::min(text_.find_first_of(",\n", position_), text_.size());
  std::string_view cell = text_.substr(position_, end - position_);
  position_ = end;
  if (!cell.empty() && cell.back() == '\r') cell.remove_suffix(1);
  return {std::string(cell), column};
}

std::string CsvReader::quoted(int column) {
  std::string cell;
  for (++position_; !at_end(); ++position_) {
    if (text_[position_] == '\n') ++next_line_;
    if (text_[position_] != '"') {
      cell += text_[position_];
    } else if (position_ + 1 < text_.size() && text_[position_ + 1] == '"') {
      cell += text_[++position_];
    } else {
      ++position_;
      if (!at_end() && text_[position_] == '\r') ++position_;
      if (at_end() || text_[position_] == ',' || text_[position_] == '\n') return cell;
      break;
    }
  }
  throw InputError(fmt::format("{}:{}:{}: a quoted cell must end with a quote before the next comma or line",
                               source_, line_, column));
}

}  // namespace loglog
