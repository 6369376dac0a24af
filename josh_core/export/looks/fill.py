"""Colours for unseen vertices of a body: first those of the mirror image, then interpolated on the mesh."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

from josh_core.body.model import BodyModel
from josh_core.export.looks.outfit import mean_of_neighbours, regions
from josh_core.types import Bool, Float, Int

# Chosen by hand, except where a measurement or a source is given.
_PULL = 0.02  # of a region's median against the neighbours: it wins some 7 edges away from anything seen
_ACROSS = 0.1  # weight of a neighbour in another region: shirts end somewhere near the belt, not sharply there


def fill(body: BodyModel, colors: Float, known: Bool) -> Float:
    """Colours [V,3] with those of vertices that are not `known` [V] filled in.

    An unseen vertex takes the colour of its mirror image where that was seen. The rest solves a screened Laplace
    equation on the mesh: each colour is the mean of its neighbours', those of its own region (top, trousers, shoes,
    skin, hair) before others, pulled weakly toward the median of what is known of that region, or of the whole body.
    """
    other = mirror(body)
    known_now = known | known[other]
    whole = np.where(known[:, None], colors, colors[other])
    typical = np.median(whole[known_now], 0)
    wanted = np.tile(typical, (len(whole), 1))
    for region in np.unique(regions(body)):
        worn = regions(body) == region
        if (worn & known_now).any():
            wanted[worn] = np.median(whole[worn & known_now], 0)
    unknown = np.flatnonzero(~known_now)
    if len(unknown):
        mean = _mean_within_regions(body)[unknown]
        system = sparse.identity(len(unknown)) - (1 - _PULL) * mean[:, unknown]
        given = (1 - _PULL) * (mean[:, np.flatnonzero(known_now)] @ whole[known_now]) + _PULL * wanted[unknown]
        whole[unknown] = spsolve(sparse.csc_matrix(system), given).reshape(-1, whole.shape[1])
    return np.clip(whole, 0, 255)


@lru_cache(maxsize=4)
def _mean_within_regions(body: BodyModel) -> sparse.csr_matrix:
    """Matrix [V,V]: the mean of each vertex and its neighbours, those of other regions weighing less."""
    beside, worn = sparse.coo_matrix(mean_of_neighbours(body)), regions(body)
    weight = np.where(worn[beside.row] == worn[beside.col], beside.data, _ACROSS * beside.data)
    weighted = sparse.csr_matrix((weight, (beside.row, beside.col)), beside.shape)
    return sparse.csr_matrix(sparse.diags(1 / np.asarray(weighted.sum(1)).ravel()) @ weighted)


@lru_cache(maxsize=4)
def mirror(body: BodyModel) -> Int:
    """For each vertex [V] the one at its mirror image, left for right, on the mean body at rest."""
    rest = body.smpl.v_template.double().numpy()
    return np.asarray(cKDTree(rest).query(rest * [-1.0, 1.0, 1.0])[1])
