"""A slide is drawn at once from what is there, coarser where it must be, and sharpens while threads fetch the rest.

napari slices on the thread of its window and shows nothing until the slice has come back. So the levels given to it
answer from tiles in memory; a tile that is missing is cut from the finest coarser level that is there, enlarged.
Threads fetch what is missing, nearest to the middle of the view first, then what lies in the direction of travel, and
the layers are drawn again. Nobody but napari's slicing is ever given an enlarged pixel: every other reader of a level
gets the pixels of the file.
"""
