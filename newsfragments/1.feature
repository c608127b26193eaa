A worker passes requests that it cannot serve on to the master, so that every process answers everything, with or without a proxy that knows who serves what.
