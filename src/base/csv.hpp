// Comma-separated values, quotes as in RFC 4180.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace loglog {

struct CsvCell {
  std::string text;
  int column;  // where it begins in its line, in bytes from 1
};

// One pass over the text, record by record; a record ends at a newline outside quotes.
class CsvReader {
 public:
  // `text` and `source`, which messages call it by, outlive this object. A byte-order mark of spreadsheets is skipped.
  CsvReader(std::string_view text, const std::string& source);

  bool at_end() const { return position_ >= text_.size(); }
  std::vector<CsvCell>
  record();  // InputError with source:line:column for a quote that does not end where it must
  int line() const { return line_; }  // from 1, of the record that was read last

 private:
  CsvCell cell();
  std::string quoted(int column);

  std::string_view text_;
  const std::string& source_;
  std::size_t position_ = 0;
  std::size_t line_start_ = 0;
  int line_ = 0;
  int next_line_ = 1;
};

}  // namespace loglog
