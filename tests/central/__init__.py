"""A central question-and-answer server for tests and demos: the real one's API, over a SQLite file of its own.

It keeps the habits that cost a box its sleep: text-processing makes a second upload of a repeat, a bad token is taken
as no token, a failure of any kind may be a 500, and the text appears only once a worker in the background has stored
it.  Faults can be ordered one by one, or drawn at random from a seed.
"""
