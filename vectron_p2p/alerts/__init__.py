"""Alerts as pure state: from what nodes see to one list that is the same at all of them.

Each node sees conditions and claims them (`watch`), claims spread and are joined (`board`), the times at which a cause
was claimed are its episodes (`episodes`), and who tells the outside is chosen by hashing (`delivery`). Nothing here
needs the catalog to be able to agree on anything, so alerts are there when it is not.
"""
