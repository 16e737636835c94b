#include "report/html.hpp"

#include "support/catch.hpp"

using namespace loglog::report;

TEST_CASE("text cannot break out of its element") {
  REQUIRE(escape_html("<b a=\"1\">&'") == "&lt;b a=&quot;1&quot;&gt;&amp;&#39;");
  Page page("<script>");
  page.paragraph("</p><img src=x>");
  page.table({"a<"}, {{"b>"}});
  const std::string html = std::move(page).finish();
  REQUIRE_THAT(html, !Catch::Contains("<img"));
  REQUIRE_THAT(html, !Catch::Contains("<script>"));
}

TEST_CASE("embedded JSON cannot end its script element") {
  const nlohmann::json value = {{"run", "</script><script>alert(1)</script>\xE2\x80\xA8\xE2\x80\xA9&"}};
  const std::string text = json_for_script(value);
  REQUIRE_THAT(text, !Catch::Contains("<"));
  REQUIRE_THAT(text, !Catch::Contains("\xE2\x80\xA8"));
  REQUIRE(nlohmann::json::parse(text) == value);  // and it is still the same data
}

TEST_CASE("bytes that are not UTF-8 do not stop a report") {
  REQUIRE_NOTHROW(json_for_script({{"name", "bad \xff byte"}}));
}
