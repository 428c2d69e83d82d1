"""What people look at: the chart, live displays, figures, the report.

It may know everything that it shows, down from training; nothing below it draws.
"""
