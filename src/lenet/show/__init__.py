"""What people look at: the chart, live displays, figures, the report.

Kept here: everything that draws.  It may know what it shows, down from training; nothing below it
draws.
"""
