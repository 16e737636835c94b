#include "fit/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/check.hpp"
#include "base/csv.hpp"
#include "base/error.hpp"
#include "base/expression.hpp"

namespace loglog::fit {
namespace {

bool parse_number(std::string_view cell, double& value) {
  while (!cell.empty() && cell.front() == ' ') cell.remove_prefix(1);
  while (!cell.empty() && cell.back() == ' ') cell.remove_suffix(1);
  if (cell.empty()) {
    value = NAN;
    return true;
  }
  if (cell.front() == '+') cell.remove_prefix(1);
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  return error == std::errc() && end == cell.data() + cell.size();
}

}  // namespace

Table Table::parse_csv(std::string_view text, const std::string& source) {
  Table table(source);
  CsvReader reader(text, source);
  if (reader.at_end()) throw InputError(source + ":1:1: empty file; the first line must name the columns");
  for (const CsvCell& cell : reader.record()) {
    if (table.has(cell.text)) {
      throw InputError(fmt::format("{}:1:{}: column '{}' appears twice", source, cell.column, cell.text));
    }
    table.columns_.push_back({cell.text, {}, {}});
  }
  while (!reader.at_end()) {
    const std::vector<CsvCell> cells = reader.record();
    if (cells.size() == 1 && cells[0].text.empty()) continue;  // blank line
    if (cells.size() != table.columns_.size()) {
      throw InputError(fmt::format("{}:{}:{}: {} cells where the header has {}", source, reader.line(),
                                   cells.back().column, cells.size(), table.columns_.size()));
    }
    for (std::size_t i = 0; i < cells.size(); ++i) {
      table.columns_[i].cells.push_back(cells[i].text);
      table.columns_[i].positions.push_back(cells[i].column);
    }
    table.lines_.push_back(reader.line());
  }
  return table;
}

Table Table::read_csv(const Path& path) {
  return parse_csv(read_input(path), path.string());
}

std::vector<std::string> Table::names() const {
  std::vector<std::string> result;
  for (const Column& column : columns_) result.push_back(column.name);
  return result;
}

bool Table::has(std::string_view name) const {
  return std::any_of(columns_.begin(), columns_.end(), [&](const Column& c) { return c.name == name; });
}

const Table::Column& Table::find(std::string_view name) const {
  for (const Column& column : columns_) {
    if (column.name == name) return column;
  }
  const std::vector<std::string> all = names();
  const std::vector<std::string_view> known(all.begin(), all.end());
  std::string message =
      fmt::format("{} has no column '{}'; it has: {}. ", source_, name, fmt::join(all, ", "));
  const std::string nearest = nearest_name(name, known);
  if (!nearest.empty()) message += fmt::format("Did you mean '{}'? ", nearest);
  throw UsageError(message + fmt::format("Use --map {0}=COLUMN, or --derive '{0}=EXPRESSION'", name));
}

std::string Table::place(int row, std::string_view name) const {
  const auto index = static_cast<std::size_t>(row);
  const Column& column = find(name);
  if (has_named_rows()) return fmt::format("{}: {}", source_, row_names_[index]);
  if (lines_[index] == 0) return fmt::format("{}: row {}", source_, row + 1);
  if (column.positions.empty()) return fmt::format("{}:{}", source_, lines_[index]);
  return fmt::format("{}:{}:{}", source_, lines_[index], column.positions[index]);
}

void Table::name_rows(std::string_view column) {
  row_names_ = find(column).cells;
}

std::vector<double> Table::numbers(std::string_view name) const {
  const Column& column = find(name);
  std::vector<double> values(column.cells.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!parse_number(column.cells[i], values[i])) {
      throw InputError(fmt::format("{}: '{}' is not a number (column {})", place(static_cast<int>(i), name),
                                   column.cells[i], name));
    }
  }
  return values;
}

const std::vector<std::string>& Table::texts(std::string_view name) const {
  return find(name).cells;
}

bool Table::is_numeric(std::string_view name) const {
  const std::vector<std::string>& cells = find(name).cells;
  double ignored = 0;
  return std::all_of(cells.begin(), cells.end(),
                     [&](const std::string& c) { return parse_number(c, ignored); });
}

void Table::add(const std::string& name, std::vector<std::string> cells) {
  LOGLOG_CHECK(columns_.empty() || cells.size() == lines_.size(), "column {} has {} cells, the table {} rows",
               name, cells.size(), lines_.size());
  if (has(name)) throw UsageError(fmt::format("{} already has a column '{}'", source_, name));
  if (columns_.empty()) lines_.assign(cells.size(), 0);
  columns_.push_back({name, std::move(cells), {}});
}

void Table::add(const std::string& name, const std::vector<double>& values) {
  std::vector<std::string> cells;
  for (const double value : values)
    cells.push_back(fmt::format("{}", value));  // shortest text with the same bits
  add(name, std::move(cells));
}

void Table::rename(std::string_view from, const std::string& to) {
  find(from);  // for its error
  std::erase_if(columns_, [&](const Column& c) { return c.name == to && from != to; });
  for (Column& column : columns_) {
    if (column.name == from) column.name = to;
  }
}

void Table::derive(std::string_view definition) {
  const std::size_t equals = definition.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    throw UsageError(
        fmt::format("--derive '{}': write NAME=EXPRESSION, for example 'D=C/(6*N)'", definition));
  }
  std::string name(definition.substr(0, equals));
  std::erase(name, ' ');
  const Expression expression(definition.substr(equals + 1), "--derive");
  std::vector<std::vector<double>> inputs;
  for (const std::string& variable : expression.variables()) inputs.push_back(numbers(variable));
  std::vector<double> result;
  for (int row = 0; row < rows(); ++row) {
    std::vector<double> values;
    for (const std::vector<double>& input : inputs) values.push_back(input[static_cast<std::size_t>(row)]);
    result.push_back(expression.evaluate(values));
  }
  std::erase_if(columns_, [&](const Column& c) { return c.name == name; });
  add(name, result);
}

Table Table::select(const std::vector<int>& rows) const {
  Table result(source_);
  for (const int row : rows) {
    result.lines_.push_back(lines_[static_cast<std::size_t>(row)]);
    if (has_named_rows()) result.row_names_.push_back(row_names_[static_cast<std::size_t>(row)]);
  }
  for (const Column& column : columns_) {
    Column chosen{column.name, {}, {}};
    for (const int row : rows) {
      chosen.cells.push_back(column.cells[static_cast<std::size_t>(row)]);
      if (!column.positions.empty())
        chosen.positions.push_back(column.positions[static_cast<std::size_t>(row)]);
    }
    result.columns_.push_back(std::move(chosen));
  }
  return result;
}

}  // namespace loglog::fit
