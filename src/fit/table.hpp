// A table of named columns: what the fitter reads, whether it comes from a CSV file or from the rows of a sweep.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"

namespace loglog::fit {

class Table {
 public:
  explicit Table(std::string source) : source_(std::move(source)) {}  // named in errors

  // Comma-separated, first line the header, quotes as in RFC 4180. InputError with file:line:column when a
  // row has another number of cells than the header, a quote stays open, or a name appears twice.
  static Table parse_csv(std::string_view text, const std::string& source);
  static Table read_csv(const Path& path);  // InputError also when it cannot be read

  const std::string& source() const noexcept { return source_; }
  int rows() const noexcept { return static_cast<int>(lines_.size()); }
  std::vector<std::string> names() const;
  bool has(std::string_view name) const;

  // Cells as numbers; an empty cell is NaN. InputError with the place of the first cell that is no number;
  // UsageError when there is no such column, with the nearest name.
  std::vector<double> numbers(std::string_view name) const;
  const std::vector<std::string>& texts(std::string_view name) const;
  bool is_numeric(std::string_view name) const;             // every cell is empty or a number
  std::string place(int row, std::string_view name) const;  // "runs.csv:12:3", or as name_rows() says

  // Rows are called by their cell of this column, "text.db: d-C3e12-s1": for tables that were no file of the user's.
  void name_rows(std::string_view column);
  bool has_named_rows() const noexcept { return !row_names_.empty(); }

  // All columns of one length; the first one added sets it.
  void add(const std::string& name, std::vector<std::string> cells);
  void add(const std::string& name, const std::vector<double>& values);
  void rename(std::string_view from, const std::string& to);  // --map to=from
  void derive(std::string_view definition);                   // "D=C/(6*N)"; UsageError names what is wrong
  Table select(const std::vector<int>& rows) const;

 private:
  struct Column {
    std::string name;
    std::vector<std::string> cells;
    std::vector<int> positions;  // column in the line, from 1; empty when the table is no file
  };
  const Column& find(std::string_view name) const;

  std::string source_;
  std::vector<Column> columns_;
  std::vector<std::string> row_names_;
  std::vector<int> lines_;  // line of each row, from 1; 0 when the table is no file
};

}  // namespace loglog::fit
