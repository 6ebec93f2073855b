"""Numbers in, pages out: charts, report.html, summary.md, junit.xml and flat tables from analysis results."""
