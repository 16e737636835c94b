// One self-contained page: text, tables, inlined pictures, and the data behind them. No scripts of others, no network.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "report/plot.hpp"

namespace loglog::report {

std::string escape_html(std::string_view text);
// JSON that may stand inside a <script> element: '<', '>', '&' and the two line separators of JavaScript are escaped.
std::string json_for_script(const nlohmann::json& value);

using Row = std::vector<std::string>;

// Builds a page from top to bottom. Text arguments are escaped here, nowhere else.
class Page {
 public:
  explicit Page(std::string_view title);
  void heading(std::string_view text);
  void paragraph(std::string_view text);
  void warning(std::string_view text);
  void list(const std::vector<std::string>& items);
  void code(std::string_view text);
  // The first column is left-aligned, the others right.
  void table(const Row& header, const std::vector<Row>& rows);
  void folded_table(std::string_view summary, const Row& header, const std::vector<Row>& rows);
  // The caption under the picture, or alone with a remark when `svg` is empty (no gnuplot).
  void figure(const Figure& figure, std::string_view svg);
  void data(std::string_view id, const nlohmann::json& value);
  std::string finish() &&;

 private:
  std::string body_;
};

}  // namespace loglog::report
