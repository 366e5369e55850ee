"""The revisions of an OriginService: which there are, which get requests, which may go. `follow` brings it together.

naming      what they are called              traffic     spec.traffic, put into effect or not
revision    one of them; equal templates      tags        how a tag is reached
creation    whether a template is a new one   rollout     the latest one's traffic, moved gradually
latest      the latest ready one              shares      the arithmetic of that
collection  which may go                      trial       when one fails too often
replicas    how many pods at least            memory      what the status carries
patience    how long for what is under way
"""
