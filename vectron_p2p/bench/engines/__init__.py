"""Other engines, measured in the same run where they are installed.

Each lives in a child process and a folder of its own (`hosted`, `child`), behind one interface (`engine`); what a crash
or a hang of one leaves behind is a note in the report. Their packages are imported only there, and only when installed.
"""
