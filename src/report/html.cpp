#include "report/html.hpp"

#include <fmt/format.h>

namespace loglog::report {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --text: #1c1c1e; --soft: #5c5c66; --back: #ffffff; --panel: #f5f5f7; --line: #d8d8de;
        --warn: #8a4b00; --warn-back: #fff4e0; }
@media (prefers-color-scheme: dark) {
  :root { --text: #ececf0; --soft: #a6a6b2; --back: #16161a; --panel: #1f1f25; --line: #3a3a44;
          --warn: #ffc876; --warn-back: #33260f; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 60rem;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
figure { margin: 1.2rem 0; } figcaption { color: var(--soft); font-size: .9rem; }
svg { width: 100%; height: auto; color: var(--text); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; margin: .8rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 600; }
pre { background: var(--panel); padding: .8rem; overflow-x: auto; font-size: .85rem; border-radius: 6px; }
.warning { color: var(--warn); background: var(--warn-back); padding: .5rem .8rem; border-radius: 6px; }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--soft); }
)";

void append_cells(std::string& html, std::string_view tag, const Row& cells) {
  html += "<tr>";
  for (const std::string& cell : cells) html += fmt::format("<{0}>{1}</{0}>", tag, escape_html(cell));
  html += "</tr>\n";
}

std::string table_html(const Row& header, const std::vector<Row>& rows) {
  std::string html = "<div class=\"scroll\"><table><thead>";
  append_cells(html, "th", header);
  html += "</thead><tbody>\n";
  for (const Row& row : rows) append_cells(html, "td", row);
  return html + "</tbody></table></div>\n";
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string json_for_script(const nlohmann::json& value) {
  const std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = std::string_view(text).substr(i, 3);
    if (rest == "\xE2\x80\xA8" || rest == "\xE2\x80\xA9") {  // U+2028 and U+2029 end a line in JavaScript
      result += rest[2] == '\xA8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else if (text[i] == '<' || text[i] == '>' || text[i] == '&') {
      result += fmt::format("\\u{:04x}", static_cast<unsigned>(text[i]));
    } else {
      result += text[i];
    }
  }
  return result;
}

Page::Page(std::string_view title)
    : body_(fmt::format("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                        "<title>{0}</title><style>{1}</style></head><body>\n<h1>{0}</h1>\n",
                        escape_html(title), kStyle)) {}

void Page::heading(std::string_view text) {
  body_ += fmt::format("<h2>{}</h2>\n", escape_html(text));
}
void Page::paragraph(std::string_view text) {
  body_ += fmt::format("<p>{}</p>\n", escape_html(text));
}
void Page::warning(std::string_view text) {
  body_ += fmt::format("<p class=\"warning\">{}</p>\n", escape_html(text));
}
void Page::code(std::string_view text) {
  body_ += fmt::format("<pre>{}</pre>\n", escape_html(text));
}

void Page::list(const std::vector<std::string>& items) {
  body_ += "<ul>\n";
  for (const std::string& item : items) body_ += fmt::format("<li>{}</li>\n", escape_html(item));
  body_ += "</ul>\n";
}

void Page::table(const Row& header, const std::vector<Row>& rows) {
  body_ += table_html(header, rows);
}

void Page::folded_table(std::string_view summary, const Row& header, const std::vector<Row>& rows) {
  body_ += fmt::format("<details><summary>{}</summary>{}</details>\n", escape_html(summary),
                       table_html(header, rows));
}

void Page::figure(const Figure& figure, std::string_view svg) {
  const std::string caption = escape_html(figure.caption);
  if (svg.empty()) {
    body_ += fmt::format(
        "<figure><figcaption><b>{}.</b> {} (No picture: gnuplot was not found.)</figcaption></figure>\n",
        escape_html(figure.title), caption);
  } else {
    body_ += fmt::format("<figure id=\"{}\">{}<figcaption>{}</figcaption></figure>\n",
                         escape_html(figure.name), svg, caption);
  }
}

void Page::data(std::string_view id, const nlohmann::json& value) {
  body_ += fmt::format("<script type=\"application/json\" id=\"{}\">{}</script>\n", escape_html(id),
                       json_for_script(value));
}

std::string Page::finish() && {
  return std::move(body_) + "</body></html>\n";
}

}  // namespace loglog::report
