"""The doctor: is a folder of speech or mixtures what it should be?"""
